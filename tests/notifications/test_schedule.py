"""Which deliveries are recorded, and for whom."""

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.vocabulary import CustomerRoleName, DeliveryState, InvoiceState
from app.database.engine import Database
from app.identity.tables import User
from app.notifications.schedule import NOBODY, schedule
from app.notifications.tables import Delivery
from app.outbox.tables import OutboxEntry
from app.settings import Settings
from tests.notifications.conftest import NOW
from tests.support.factories import Factories, Row


async def _recipients(connection: AsyncConnection) -> list[str]:
    statement = select(Delivery.recipient).order_by(Delivery.id)
    return list((await connection.execute(statement)).scalars())


async def test_each_owner_gets_a_delivery_and_a_job(
    connection: AsyncConnection, make: Factories, settings: Settings, customer: Row, invoice: Row
) -> None:
    await make.owner(customer, email="ada@example.com")
    await make.owner(customer, email="björn@example.com")
    settings = settings.model_copy(update={"mail_from": "Billing <billing@bücher.example>"})

    scheduled = await schedule(connection, invoice.id, settings)

    deliveries = (await connection.execute(select(Delivery.__table__).order_by("id"))).all()
    assert [delivery.recipient for delivery in deliveries] == [
        "ada@example.com",
        "björn@example.com",
    ]
    assert [delivery.uuid for delivery in deliveries] == scheduled
    for delivery in deliveries:
        assert delivery.state == DeliveryState.PENDING
        assert delivery.next_attempt_at == delivery.created_at == NOW
        assert delivery.message_id.startswith("<")
        assert delivery.message_id.endswith("@xn--bcher-kva.example>")
    entries = (await connection.execute(select(OutboxEntry.job, OutboxEntry.arguments))).all()
    assert [tuple(entry) for entry in entries] == [
        ("deliver", {"delivery": str(uuid)}) for uuid in scheduled
    ]


async def test_only_owners_who_are_active_now_are_written_to(
    connection: AsyncConnection, make: Factories, settings: Settings, customer: Row, invoice: Row
) -> None:
    await make.owner(customer, email="ada@example.com", is_active=False)
    await make.owner(customer, email="")
    await make.owner(await make.customer(), email="of-another@example.com")
    manager = await make.user(email="manager@example.com")
    await make.role(manager, customer, role=CustomerRoleName.MANAGER)
    revoked = await make.user(email="revoked@example.com")
    await make.role(revoked, customer, is_active=False)
    expired = await make.user(email="expired@example.com")
    await make.role(expired, customer, expires_at=NOW)
    for_now = await make.user(email="for-now@example.com")
    await make.role(for_now, customer, expires_at=NOW.replace(hour=13))

    await schedule(connection, invoice.id, settings)

    assert await _recipients(connection) == ["for-now@example.com"]


async def test_without_owners_the_customer_itself_is_written_to(
    connection: AsyncConnection, settings: Settings, invoice: Row
) -> None:
    await schedule(connection, invoice.id, settings)
    assert await _recipients(connection) == ["accounts@example.com"]


async def test_with_nobody_to_write_to_the_delivery_has_failed(
    connection: AsyncConnection, make: Factories, settings: Settings
) -> None:
    customer = await make.customer(email=" ")
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)

    assert await schedule(connection, invoice.id, settings) == []

    delivery = (await connection.execute(select(Delivery.__table__))).one()
    assert (delivery.recipient, delivery.state) == ("", DeliveryState.FAILED)
    assert delivery.last_error == NOBODY
    assert delivery.next_attempt_at is None
    assert (await connection.execute(select(OutboxEntry.id))).all() == []


async def test_one_address_is_written_to_once_whatever_its_case(
    connection: AsyncConnection, make: Factories, settings: Settings, customer: Row, invoice: Row
) -> None:
    await make.owner(customer, email="Ada@Example.com")
    await make.owner(customer, email=" ada@example.com ")
    await schedule(connection, invoice.id, settings)
    assert await _recipients(connection) == ["Ada@Example.com"]


async def test_nobody_is_written_to_again_while_a_delivery_is_on_its_way(
    connection: AsyncConnection, make: Factories, settings: Settings, customer: Row, invoice: Row
) -> None:
    ada = await make.owner(customer, email="ada@example.com")
    (first,) = await schedule(connection, invoice.id, settings)
    await make.owner(customer, email="ben@example.com")
    # The address of the first owner changes its case meanwhile.
    await connection.execute(
        update(Delivery).where(Delivery.uuid == first).values(state=DeliveryState.SENDING)
    )
    await connection.execute(update(User).where(User.id == ada.id).values(email="ADA@example.com"))

    (second,) = await schedule(connection, invoice.id, settings)

    assert await _recipients(connection) == ["ada@example.com", "ben@example.com"]
    await connection.execute(update(Delivery).values(state=DeliveryState.SENT))
    again = await schedule(connection, invoice.id, settings)
    assert len(again) == 2
    assert not {first, second} & set(again)


async def test_nothing_is_recorded_when_the_callers_transaction_fails(
    database: Database, connection: AsyncConnection, settings: Settings, invoice: Row
) -> None:
    async def schedule_and_fail() -> None:
        async with database.transaction() as transaction:
            await schedule(transaction, invoice.id, settings)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await schedule_and_fail()
    assert await _recipients(connection) == []
    assert (await connection.execute(select(OutboxEntry.id))).all() == []

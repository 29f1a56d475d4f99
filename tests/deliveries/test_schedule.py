"""The deliveries that are scheduled for an invoice, and their recipients."""

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import CustomerRoleName, DeliveryState, InvoiceState
from app.database.engine import Database
from app.deliveries.models import Delivery
from app.deliveries.schedule import NO_ADDRESS
from app.identity.models import User
from app.outbox.models import OutboxEntry
from app.settings import Settings
from tests.deliveries.conftest import NOW
from tests.support.deliveries import schedule_invoice
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

    scheduled = await schedule_invoice(connection, settings, invoice)

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


async def test_only_active_owners_are_recipients(
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

    await schedule_invoice(connection, settings, invoice)

    assert await _recipients(connection) == ["for-now@example.com"]


async def test_without_owners_the_customer_is_the_recipient(
    connection: AsyncConnection, settings: Settings, invoice: Row
) -> None:
    await schedule_invoice(connection, settings, invoice)
    assert await _recipients(connection) == ["accounts@example.com"]


async def test_without_any_address_a_failed_delivery_is_recorded(
    connection: AsyncConnection, make: Factories, settings: Settings
) -> None:
    customer = await make.customer(email=" ")
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)

    assert await schedule_invoice(connection, settings, invoice) == []

    delivery = (await connection.execute(select(Delivery.__table__))).one()
    assert (delivery.recipient, delivery.state) == ("", DeliveryState.FAILED)
    assert delivery.last_error == NO_ADDRESS
    assert delivery.next_attempt_at is None
    assert (await connection.execute(select(OutboxEntry.id))).all() == []


async def test_each_of_the_customers_own_addresses_gets_a_delivery(
    connection: AsyncConnection, make: Factories, settings: Settings
) -> None:
    customer = await make.customer(email='ap@example.com, "Chief; Finance" <cfo@example.com>')
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    scheduled = await schedule_invoice(connection, settings, invoice)
    assert await _recipients(connection) == [
        "ap@example.com",
        '"Chief; Finance" <cfo@example.com>',
    ]
    jobs = await connection.execute(select(OutboxEntry.arguments).order_by(OutboxEntry.id))
    assert [job.arguments["delivery"] for job in jobs] == [str(uuid) for uuid in scheduled]


async def test_an_invalid_address_fails_and_the_others_are_pending(
    connection: AsyncConnection, make: Factories, settings: Settings
) -> None:
    customer = await make.customer(
        email="ap@example.com; ask Mary; cfo@example.com; AP@example.com"
    )
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    assert len(await schedule_invoice(connection, settings, invoice)) == 2
    deliveries = await connection.execute(
        select(Delivery.recipient, Delivery.state, Delivery.last_error).order_by(Delivery.id)
    )
    assert [tuple(delivery) for delivery in deliveries] == [
        ("ap@example.com", "pending", ""),
        ("ask Mary", "failed", "'ask Mary' is not an e-mail address."),
        ("cfo@example.com", "pending", ""),
    ]
    assert len((await connection.execute(select(OutboxEntry.id))).all()) == 2


async def test_without_a_valid_owner_address_the_customers_own_are_used(
    connection: AsyncConnection, make: Factories, settings: Settings, customer: Row, invoice: Row
) -> None:
    await make.owner(customer, email="unknown")
    assert len(await schedule_invoice(connection, settings, invoice)) == 1
    states = await connection.execute(
        select(Delivery.recipient, Delivery.state).order_by(Delivery.id)
    )
    assert [tuple(row) for row in states] == [
        ("unknown", "failed"),
        ("accounts@example.com", "pending"),
    ]


async def test_addresses_that_differ_in_case_are_one(
    connection: AsyncConnection, make: Factories, settings: Settings, customer: Row, invoice: Row
) -> None:
    await make.owner(customer, email="Ada@Example.com")
    await make.owner(customer, email=" ada@example.com ")
    await make.owner(customer, email="Ada <ada@EXAMPLE.com>")
    await schedule_invoice(connection, settings, invoice)
    assert await _recipients(connection) == ["Ada@Example.com"]


async def test_a_recipient_with_an_open_delivery_gets_no_second_one(
    connection: AsyncConnection, make: Factories, settings: Settings, customer: Row, invoice: Row
) -> None:
    ada = await make.owner(customer, email="ada@example.com")
    (first,) = await schedule_invoice(connection, settings, invoice)
    await make.owner(customer, email="ben@example.com")
    # The address of the first owner changes its case meanwhile.
    await connection.execute(
        update(Delivery).where(Delivery.uuid == first).values(state=DeliveryState.SENDING)
    )
    await connection.execute(update(User).where(User.id == ada.id).values(email="ADA@example.com"))

    (second,) = await schedule_invoice(connection, settings, invoice)

    assert await _recipients(connection) == ["ada@example.com", "ben@example.com"]
    await connection.execute(update(Delivery).values(state=DeliveryState.SENT))
    again = await schedule_invoice(connection, settings, invoice)
    assert len(again) == 2
    assert not {first, second} & set(again)


async def test_nothing_is_recorded_when_the_callers_transaction_fails(
    database: Database, connection: AsyncConnection, settings: Settings, invoice: Row
) -> None:
    async def schedule_and_fail() -> None:
        async with database.transaction() as transaction:
            await schedule_invoice(transaction, settings, invoice)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await schedule_and_fail()
    assert await _recipients(connection) == []
    assert (await connection.execute(select(OutboxEntry.id))).all() == []

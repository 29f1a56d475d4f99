"""The mail of a credit note: recorded with it, sent once, in the language of its customer."""

import asyncio
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import DeliveryState, PaymentType
from app.database.engine import Database
from app.deliveries.models import Delivery
from app.deliveries.schedule import retry_delivery
from app.documents.profiles import PEPPOL
from app.invoices.models import Invoice
from app.notifications.queries import list_deliveries
from app.notifications.sending import Sender
from app.outbox.models import OutboxEntry
from app.settings import Settings
from tests.credit_notes.conftest import Crediting
from tests.notifications.conftest import sending_to
from tests.notifications.examples import attached_text, body
from tests.support.deliveries import schedule_invoice
from tests.support.einvoice_rules import judge
from tests.support.factories import Factories, Row
from tests.support.issued import COMPLETE, issue_invoice, issuing
from tests.support.smtp import run_mail_server


@pytest.fixture
def settings(settings: Settings) -> Settings:
    changes = {"notify_on_issue": True, "notification_ubl_profile": "peppol"}
    return issuing(settings).model_copy(update=changes)


@pytest.fixture
async def customer(make: Factories) -> Row:
    return await make.customer(**COMPLETE | {"language": "de", "email": "ap@example.com"})


@pytest.fixture
async def invoice(make: Factories, settings: Settings, customer: Row) -> Row:
    return await issue_invoice(make, settings, "10", customer=customer, number=100001)


async def deliveries(connection: AsyncConnection) -> list[UUID]:
    statement = select(Delivery.uuid).where(Delivery.credit_note_id.is_not(None))
    return list((await connection.execute(statement.order_by(Delivery.id))).scalars())


async def test_the_documents_are_mailed_once(
    crediting: Crediting, settings: Settings, database: Database, invoice: Row
) -> None:
    await crediting.credit(invoice)
    (delivery,) = await deliveries(crediting.connection)
    job = select(OutboxEntry.arguments).where(OutboxEntry.job == "deliver")
    assert await crediting.connection.scalar(job) == {"delivery": str(delivery)}
    async with (
        run_mail_server() as sink,
        Sender(database, sending_to(settings, sink.url)) as sender,
    ):
        assert await sender.send_delivery(delivery) is None
        assert await sender.send_delivery(delivery) is None
    (received,) = sink.mailbox
    assert received.recipients == ["ap@example.com"]
    message = received.message
    assert message["Subject"] == (
        "Rechnungskorrektur CN-1 zur Rechnung 100001 für Institut für Beispiele & Söhne,"
        " Oktober 2026"
    )
    assert "Rechnungskorrektur CN-1" in attached_text(message)
    pdf, ubl = message.iter_attachments()
    names = ["credit-note-1.pdf", "credit-note-1-peppol.xml"]
    assert [pdf.get_filename(), ubl.get_filename()] == names
    content = ubl.get_content()
    assert not judge(content if isinstance(content, bytes) else content.encode(), PEPPOL).fatal
    for text_of in (body(message, "plain"), body(message, "html")):
        assert "12,00\xa0€" in text_of
        assert "A mistake" in text_of
        assert "Der Betrag wird Ihnen gutgeschrieben. Es ist nichts zu zahlen." in text_of


async def test_a_refused_credit_mails_nothing(crediting: Crediting, invoice: Row) -> None:
    (item,) = await crediting.items(invoice)
    response = await crediting.post(invoice, items=[{"uuid": item, "price": "11"}])
    assert response.status_code == 409
    assert await deliveries(crediting.connection) == []


async def test_of_requests_at_once_each_credit_note_is_mailed(
    crediting: Crediting, invoice: Row
) -> None:
    """The database refuses a second open delivery of a document only."""
    (item,) = await crediting.items(invoice)
    part = [{"uuid": item, "price": "2"}]
    responses = await asyncio.gather(*(crediting.post(invoice, items=part) for _ in range(3)))
    assert {response.status_code for response in responses} == {201}
    assert len(await deliveries(crediting.connection)) == 3


async def test_without_the_setting_nothing_is_mailed(
    app: FastAPI, crediting: Crediting, settings: Settings, invoice: Row
) -> None:
    app.state.settings = settings.model_copy(update={"notify_on_issue": False})
    await crediting.credit(invoice)
    assert await deliveries(crediting.connection) == []


async def test_a_fixed_price_contract_is_not_mailed(
    crediting: Crediting, make: Factories, customer: Row, invoice: Row
) -> None:
    await make.profile(customer, payment_type=PaymentType.FIXED_PRICE)
    await crediting.credit(invoice)
    assert await deliveries(crediting.connection) == []


@pytest.mark.parametrize("is_mailed", [False, True])
async def test_a_credit_note_of_an_imported_invoice_is_mailed_if_the_invoice_was(
    crediting: Crediting, settings: Settings, invoice: Row, is_mailed: bool
) -> None:
    await crediting.connection.execute(update(Invoice).values(source="focus"))
    if is_mailed:
        await schedule_invoice(crediting.connection, settings, invoice)
    await crediting.credit(invoice)
    assert len(await deliveries(crediting.connection)) == is_mailed


async def test_staff_mail_a_credit_note_anew_but_not_beside_an_open_delivery(
    client: httpx.AsyncClient, crediting: Crediting, invoice: Row
) -> None:
    note = await crediting.credit(invoice)
    path = f"/api/credit-notes/{note['uuid']}/send_notification/"
    counts = []
    for _ in range(2):
        response = await client.post(path, headers=crediting.staff.headers)
        assert (response.status_code, response.json()) == (
            200,
            {"detail": "Credit note notification sending has been successfully scheduled."},
        )
        counts.append(len(await deliveries(crediting.connection)))
        await crediting.connection.execute(update(Delivery).values(state=DeliveryState.SENT))
    assert counts == [1, 2]
    assert (await client.post(path)).status_code == 401


async def test_deliveries_name_the_credit_note_and_are_retried(
    crediting: Crediting, settings: Settings, database: Database, invoice: Row
) -> None:
    connection = crediting.connection
    await schedule_invoice(connection, settings, invoice)
    note = await crediting.credit(invoice)
    listed = await list_deliveries(connection, invoice=invoice.uuid, limit=9)
    assert [each["credit_note_number"] for each in listed] == [1, None]
    assert {each["invoice_number"] for each in listed} == {100001}
    (only,) = await list_deliveries(connection, credit_note=UUID(note["uuid"]), limit=9)
    failed = update(Delivery).where(Delivery.uuid == only["uuid"])
    await connection.execute(failed.values(state=DeliveryState.FAILED, next_attempt_at=None))
    async with database.transaction() as transaction:
        await retry_delivery(transaction, only["uuid"])
    (again,) = await list_deliveries(connection, credit_note=UUID(note["uuid"]), limit=9)
    assert again["state"] == DeliveryState.PENDING


async def test_a_delivery_is_of_one_document(crediting: Crediting, invoice: Row) -> None:
    await crediting.credit(invoice)
    for change in ("invoice_id = (SELECT id FROM invoices)", "credit_note_id = NULL"):
        with pytest.raises(DBAPIError, match="is_of_one_document"):
            await crediting.connection.execute(text(f"UPDATE notification_deliveries SET {change}"))
    assert await crediting.connection.scalar(select(func.count()).select_from(Delivery)) == 1

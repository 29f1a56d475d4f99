"""The commands about deliveries."""

import asyncio
import json
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from typer.testing import Result

from app.billing.enums import DeliveryState, InvoiceState
from app.billing.periods import Period
from app.deliveries.models import Delivery
from app.deliveries.schedule import schedule_deliveries
from app.outbox.models import OutboxEntry
from app.reports.actions.schedule_report import ScheduleReport, schedule_report
from app.settings import Settings
from tests.support.commands import run_command
from tests.support.deliveries import schedule_invoice
from tests.support.factories import Factories, Row


@pytest.fixture
async def invoice(make: Factories) -> Row:
    customer = await make.customer(email="accounts@example.com")
    return await make.invoice(customer, state=InvoiceState.CREATED)


@pytest.fixture
async def failed(connection: AsyncConnection, invoice: Row, settings: Settings) -> UUID:
    (uuid,) = await schedule_invoice(connection, settings, invoice)
    await connection.execute(
        update(Delivery).values(
            state=DeliveryState.FAILED, attempts=8, last_error="No [answer]", next_attempt_at=None
        )
    )
    await connection.execute(delete(OutboxEntry))
    return uuid


async def _app(settings: Settings, *arguments: str) -> Result:
    return await asyncio.to_thread(run_command, *arguments, DATABASE_URL=settings.database_url)


async def test_deliveries_are_listed(
    connection: AsyncConnection, settings: Settings, invoice: Row, failed: UUID
) -> None:
    (pending,) = await schedule_invoice(connection, settings, invoice)

    answer = await _app(settings, "delivery", "list")
    heading, first, second = answer.stdout.splitlines()
    assert heading.split()[:3] == ["delivery", "state", "invoice"]
    assert first.split()[:2] == [str(pending), "pending"]
    assert second.split()[:2] == [str(failed), "failed"]
    assert second.rstrip().endswith("No [answer]")

    only = await _app(settings, "delivery", "list", "--state", "failed", "--json")
    (delivery,) = json.loads(only.stdout)
    assert (delivery["uuid"], delivery["attempts"]) == (str(failed), 8)
    assert delivery["recipient"] == "accounts@example.com"
    of_another = await _app(settings, "delivery", "list", "--invoice", str(uuid4()), "--json")
    assert json.loads(of_another.stdout) == []


async def test_the_mails_of_reports_and_credit_notes_are_listed_too(
    connection: AsyncConnection, settings: Settings, make: Factories
) -> None:
    customer = await make.customer(email="accounts@example.com")
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    note = await make.credit_note(invoice, number=7)
    await schedule_deliveries(connection, settings, customer_id=customer.id, credit_note_id=note.id)
    command = ScheduleReport(Period(2026, 10), ["a@example.com", "b@example.com", "c@example.com"])
    await schedule_report(connection, command)
    settle = (
        "UPDATE outbox SET done_at = now(), last_error = :error"
        " WHERE arguments ->> 'recipient' = :to"
    )
    for recipient, error in (("a@example.com", ""), ("b@example.com", "No such user")):
        await connection.execute(text(settle), {"error": error, "to": recipient})

    listed = json.loads((await _app(settings, "delivery", "list", "--json")).stdout)
    shown = [
        (each["recipient"], each["state"], each["report"], each["credit_note_number"])
        for each in listed
    ]
    assert shown == [
        ("c@example.com", "pending", "2026-10", None),
        ("b@example.com", "failed", "2026-10", None),
        ("a@example.com", "sent", "2026-10", None),
        ("accounts@example.com", "pending", None, 7),
    ]
    failed = await _app(settings, "delivery", "list", "--state", "failed")
    heading, line = failed.stdout.splitlines()
    assert "report" in heading
    assert "b@example.com" in line
    assert line.rstrip().endswith("No such user")
    of_invoice = await _app(settings, "delivery", "list", "--invoice", str(invoice.uuid), "--json")
    assert [each["report"] for each in json.loads(of_invoice.stdout)] == [None]


async def test_a_failed_delivery_is_tried_again(
    connection: AsyncConnection, settings: Settings, failed: UUID
) -> None:
    answer = await _app(settings, "delivery", "retry", str(failed))
    assert (answer.exit_code, answer.stderr) == (0, "")
    assert answer.stdout == f"The delivery {failed} is pending again.\n"

    row = (await connection.execute(select(Delivery.__table__))).one()
    assert (row.state, row.attempts) == (DeliveryState.PENDING, 0)
    assert row.next_attempt_at is not None
    (entry,) = await connection.execute(select(OutboxEntry.job, OutboxEntry.arguments))
    assert tuple(entry) == ("deliver", {"delivery": str(failed)})

    again = await _app(settings, "delivery", "retry", str(failed))
    assert again.exit_code == 1
    assert again.stderr == f"The delivery {failed} has not failed: it is pending.\n"


async def test_a_delivery_is_not_retried_beside_another(
    connection: AsyncConnection, settings: Settings, invoice: Row, failed: UUID
) -> None:
    await schedule_invoice(connection, settings, invoice)
    unknown = uuid4()
    answer = await _app(settings, "delivery", "retry", str(failed), str(unknown))
    assert answer.exit_code == 1
    assert answer.stderr.splitlines() == [
        "Another delivery of the invoice to accounts@example.com is pending or being sent.",
        f"There is no delivery {unknown}.",
    ]
    assert len((await connection.execute(select(OutboxEntry.id))).all()) == 1


async def test_a_delivery_without_a_recipient_cannot_be_retried(
    connection: AsyncConnection, settings: Settings, make: Factories
) -> None:
    invoice = await make.invoice(await make.customer(email=""), state=InvoiceState.CREATED)
    await schedule_invoice(connection, settings, invoice)
    uuid = (await connection.execute(select(Delivery.uuid))).scalar_one()
    answer = await _app(settings, "delivery", "retry", str(uuid))
    assert answer.exit_code == 1
    assert "has no recipient" in answer.stderr

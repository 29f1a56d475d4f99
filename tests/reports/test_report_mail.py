"""The report by mail: request, messages, retries and refusals; monthly reports."""

import asyncio
import csv
import io
import zipfile
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

import httpx
import openpyxl  # type: ignore[import-untyped]  # it has no types
import pytest
from pydantic_core import Url
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import ImportSource, InvoiceState
from app.billing.periods import Period
from app.database.engine import Database
from app.invoices.models import Invoice
from app.jobs.registry import build_registry
from app.jobs.runner import JobRunner
from app.outbox.models import OutboxEntry
from app.reports.actions.schedule_report import ScheduleReport, schedule_report
from app.reports.jobs.monthly_report import send_monthly_reports
from app.reports.models import SEND_REPORT
from app.reports.rendering import message as module
from app.settings import Settings
from tests.support.factories import Factories
from tests.support.smtp import MailServer, run_mail_server

URL = "/api/invoice/send-financial-report-by-mail/"
OCTOBER = Period(2026, 10)


async def jobs(connection: AsyncConnection) -> list[Any]:
    columns = OutboxEntry.__table__.c
    statement = select(*columns).where(columns.job == SEND_REPORT).order_by(columns.id)
    return list((await connection.execute(statement)).all())


async def run_jobs(database: Database, settings: Settings) -> None:
    runner = JobRunner(database, settings, build_registry(settings))
    await runner.start_due_jobs()
    await runner.wait_until_idle()


async def send(database: Database, settings: Settings, *recipients: str) -> None:
    async with database.transaction() as connection:
        await schedule_report(connection, ScheduleReport(OCTOBER, recipients))
    await run_jobs(database, settings)


def with_mail(settings: Settings, server: MailServer) -> Settings:
    return settings.model_copy(update={"smtp_url": Url(server.url)})


def attachments(message: EmailMessage) -> dict[str, bytes]:
    return {
        part.get_filename() or "": part.get_payload(decode=True)  # type: ignore[misc]
        for part in message.iter_attachments()
    }


@pytest.fixture
async def item(make: Factories) -> None:
    invoice = await make.invoice(await make.customer(name="Ülikool"), state=InvoiceState.CREATED)
    await make.item(invoice, "12.34")


@pytest.mark.parametrize("role", ["staff", "support"])
async def test_a_request_schedules_a_message_for_each_address(
    client: httpx.AsyncClient, make: Factories, connection: AsyncConnection, role: str
) -> None:
    headers = (await getattr(make, role)()).headers
    body = {"emails": ["a@example.com", "b@example.com", "A@example.com"], "year": "2026"}
    answer = await client.post(URL, json=body | {"month": 10}, headers=headers)
    assert answer.status_code == 202
    assert answer.json() == {"status": "The dispatch of reports has been scheduled."}
    assert [
        (job.arguments["recipient"], job.arguments["year"], job.arguments["month"])
        for job in await jobs(connection)
    ] == [("a@example.com", 2026, 10), ("b@example.com", 2026, 10)]


async def test_a_repeated_request_sends_nothing_more(
    client: httpx.AsyncClient, make: Factories, connection: AsyncConnection
) -> None:
    headers = (await make.staff()).headers | {"Idempotency-Key": uuid4().hex}
    body = {"emails": ["a@example.com"], "year": 2026, "month": 10}
    answers = [await client.post(URL, json=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert len(await jobs(connection)) == 1


@pytest.mark.parametrize(
    ("change", "errors"),
    [
        (
            {"emails": ["a@example.com", "x", "", None, 5]},
            {
                "emails": {
                    "1": ["Enter a valid email address."],
                    "2": ["This field may not be blank."],
                    "3": ["This field may not be null."],
                    "4": ["Enter a valid email address."],
                }
            },
        ),
        ({"month": 13}, {"month": ["Ensure this value is less than or equal to 12."]}),
        ({"month": 0}, {"month": ["Ensure this value is greater than or equal to 1."]}),
        ({"year": 1999}, {"year": ["Ensure this value is greater than or equal to 2000."]}),
        ({"year": 2101}, {"year": ["Ensure this value is less than or equal to 2100."]}),
        ({"year": "x"}, {"year": ["A valid integer is required."]}),
        ({"emails": "a@example.com"}, {"emails": ['Expected a list of items but got type "str".']}),
    ],
)
async def test_an_invalid_request_is_refused(
    client: httpx.AsyncClient,
    make: Factories,
    connection: AsyncConnection,
    change: dict[str, Any],
    errors: Any,
) -> None:
    body = {"emails": ["a@example.com"], "year": 2026, "month": 10} | change
    answer = await client.post(URL, json=body, headers=(await make.staff()).headers)
    assert (answer.status_code, answer.json()) == (400, errors)
    assert await jobs(connection) == []


async def test_every_field_is_needed(client: httpx.AsyncClient, make: Factories) -> None:
    headers = (await make.staff()).headers
    required = ["This field is required."]
    answer = await client.post(URL, json={}, headers=headers)
    assert answer.json() == {"emails": required, "year": required, "month": required}
    answer = await client.post(URL, json={"emails": [], "year": 2026, "month": 1}, headers=headers)
    assert (answer.status_code, list(answer.json())) == (400, ["emails"])


async def test_only_staff_and_support_may_send(client: httpx.AsyncClient, make: Factories) -> None:
    owner = await make.owner(await make.customer())
    assert (await client.post(URL, json={}, headers=owner.headers)).status_code == 403
    assert (await client.post(URL, json={})).status_code == 401


@pytest.mark.usefixtures("item")
async def test_a_message_has_the_items_as_csv_and_xlsx(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    async with run_mail_server() as server:
        await send(database, with_mail(settings, server), "a@example.com")
    (received,) = server.mailbox
    assert received.recipients == ["a@example.com"]
    message = received.message
    assert message["Subject"] == "Invoices of October 2026"
    files = attachments(message)
    assert list(files) == ["invoices-2026-10-items.csv", "invoices-2026-10-items.xlsx"]
    (row,) = csv.DictReader(io.StringIO(files["invoices-2026-10-items.csv"].decode("utf-8-sig")))
    assert (row["customer_name"], row["price"]) == ("Ülikool", "12.34")
    sheet = openpyxl.load_workbook(io.BytesIO(files["invoices-2026-10-items.xlsx"])).active
    assert sheet["B2"].value == "Ülikool"
    (job,) = await jobs(connection)
    assert job.done_at is not None
    assert job.last_error == ""


@pytest.mark.usefixtures("item")
async def test_a_large_file_is_zipped_or_left_out(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PLAIN_BYTES", 10)
    monkeypatch.setattr(module, "MAX_ATTACHED_BYTES", 2000)
    async with run_mail_server() as server:
        await send(database, with_mail(settings, server), "a@example.com")
    message = server.mailbox[0].message
    (content,) = attachments(message).values()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["invoices-2026-10-items.csv"]
        assert "Ülikool" in archive.read(archive.namelist()[0]).decode("utf-8-sig")
    text = message.get_body(("plain",))
    assert text is not None
    assert "Too large for this message: invoices-2026-10-items.xlsx." in text.get_content()
    assert "python -m app report --month 2026-10" in text.get_content()


@pytest.mark.usefixtures("item")
async def test_a_refused_address_is_named_and_stops_no_other(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    async with run_mail_server() as server:
        server.refused["gone@example.com"] = "550 5.1.1 unknown"
        await send(database, with_mail(settings, server), "gone@example.com")
        await send(database, with_mail(settings, server), "b@example.com")
    assert [mail.recipients for mail in server.mailbox] == [["b@example.com"]]
    refused, _sent = await jobs(connection)
    assert refused.done_at is not None
    assert refused.last_error.startswith("gone@example.com: The mail server answered 550 5.1.1")


@pytest.mark.usefixtures("item")
async def test_a_message_that_failed_is_sent_later_with_the_same_id(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    async with run_mail_server() as server:
        settings = with_mail(settings, server)
        server.replies = ["451 later"]
        await send(database, settings, "a@example.com")
        (job,) = await jobs(connection)
        assert job.done_at is None
        assert job.last_error.endswith("a@example.com: The mail server answered 451 later")
        await connection.execute(update(OutboxEntry).values(due_at=func.now()))
        await run_jobs(database, settings)
    (received,) = server.mailbox
    assert received.message["Message-ID"].startswith(f"<{job.arguments['message']}@")


async def test_the_report_of_a_month_waits_for_its_invoices_and_is_sent_once(
    database: Database, settings: Settings, connection: AsyncConnection, make: Factories
) -> None:
    settings = settings.model_copy(update={"report_recipients": ("a@example.com",)})
    clock.freeze(Period(2026, 11).start)
    try:
        assert not (await send_monthly_reports(database, settings)).counts  # without invoices
        own = await make.invoice(await make.customer())
        imported = await make.invoice(await make.customer(), source=ImportSource.FOCUS)
        for invoice in (own, imported):
            assert not (await send_monthly_reports(database, settings)).counts
            state = update(Invoice).where(Invoice.id == invoice.id)
            await connection.execute(state.values(state=InvoiceState.CANCELED))
        await asyncio.gather(*(send_monthly_reports(database, settings) for _ in range(3)))
        assert [job.arguments["month"] for job in await jobs(connection)] == [10]
        # The next month is late, the one after is not: both are reported, in any order.
        november = await make.invoice(await make.customer(), Period(2026, 11))
        await make.invoice(await make.customer(), Period(2026, 12), state=InvoiceState.CREATED)
        clock.freeze(Period(2027, 1).start)
        await send_monthly_reports(database, settings)
        state = update(Invoice).where(Invoice.id == november.id)
        await connection.execute(state.values(state=InvoiceState.CANCELED))
        await send_monthly_reports(database, settings)
    finally:
        clock.freeze(None)
    assert [job.arguments["month"] for job in await jobs(connection)] == [10, 12, 11]
    assert not (await send_monthly_reports(database, settings.model_copy(
        update={"report_recipients": ()}))).counts  # fmt: skip

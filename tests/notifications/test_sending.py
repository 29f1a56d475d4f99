"""A delivery is sent once, retried after temporary failures, and ended by permanent ones."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from app import clock
from app.billing.enums import DeliveryState, InvoiceState
from app.deliveries.models import Delivery
from app.invoices.models import Invoice
from app.notifications import sending as module
from app.notifications.sending import MAX_ATTEMPTS, RETRY_DELAYS, Sender, longest_attempt
from app.settings import Settings
from faults.disk import fill, no_small_disk, small_disk
from tests.notifications.conftest import NOW, Desk, later
from tests.support.deliveries import schedule_invoice
from tests.support.factories import Factories, Row
from tests.support.smtp import Fault, MailServer, Stage, run_mail_server

pytestmark = pytest.mark.usefixtures("pdfs_in_this_process")


async def test_a_delivery_is_sent_and_recorded(desk: Desk, sink: MailServer) -> None:
    assert await desk.send_delivery() is None

    (received,) = sink.mailbox
    assert received.recipients == ["accounts@example.com"]
    row = await desk.row()
    assert received.message["Message-ID"] == row.message_id
    assert (row.state, row.sent_at, row.attempts) == (DeliveryState.SENT, NOW, 1)
    assert (row.next_attempt_at, row.last_error) == (None, "")


@pytest.mark.parametrize(
    "url",
    ["http://[::1", "https://exa mple", "https://us\u2100er@pay.example/", "http://a.b:99999/",
     "http://a.b:port/", "http://a.b/\nBcc: c@example.com", "http://[v1.x]/", "\u2028"],
)  # fmt: skip
async def test_an_invalid_payment_url_does_not_stop_a_mail(
    desk: Desk, sink: MailServer, connection: AsyncConnection, url: str
) -> None:
    """It may stand there since before it was looked at."""
    await connection.execute(update(Invoice).values(payment_url=url))
    assert await desk.send_delivery() is None
    (received,) = sink.mailbox
    assert received.message["Bcc"] is None
    bodies = [part.get_content() for part in received.message.walk() if part.get_content_type() in
              ("text/plain", "text/html")]  # fmt: skip
    assert bodies
    assert not any("Pay online:" in body or 'href="http' in body for body in bodies)


async def test_a_repeated_job_sends_nothing_again(desk: Desk, sink: MailServer) -> None:
    await desk.send_delivery()
    assert await desk.send_delivery() is None
    assert len(sink.mailbox) == 1


async def test_an_unknown_delivery_is_ignored(desk: Desk, sink: MailServer) -> None:
    assert await desk.send_delivery(delivery=uuid4()) is None
    assert sink.sessions == 0


async def test_concurrent_workers_send_one_message(desk: Desk, sink: MailServer) -> None:
    sink.delay = 0.3
    outcomes = await asyncio.gather(*(desk.send_delivery() for _ in range(3)))
    assert len(sink.mailbox) == 1
    lease = longest_attempt(desk.settings) + timedelta(minutes=1)
    assert sorted(outcomes, key=str) == [lease, lease, None]


async def test_a_delivery_that_is_not_due_waits(desk: Desk, sink: MailServer) -> None:
    due = NOW + timedelta(minutes=1)
    await desk.set(attempts=1, next_attempt_at=due)
    assert await desk.send_delivery() == timedelta(minutes=1)
    assert sink.mailbox == []


async def test_the_claim_of_a_killed_worker_expires(desk: Desk, sink: MailServer) -> None:
    async with run_mail_server(Fault(Stage.ACCEPTED)) as faulty:
        # Killed while the server holds the message: neither sent nor failed is ever recorded.
        killed = asyncio.create_task(desk.send_delivery(server=faulty.url))
        await asyncio.wait_for(faulty.arrival.wait(), 60)
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
    row = await desk.row()
    assert row.state == DeliveryState.SENDING

    lapses = await desk.send_delivery()
    assert lapses is not None
    assert NOW + lapses == row.next_attempt_at
    assert sink.mailbox == []
    later(lapses)
    assert await desk.send_delivery() is None

    (received,) = sink.mailbox
    assert received.message["Message-ID"] == row.message_id
    assert (await desk.row()).attempts == 2


async def test_a_lost_claim_cannot_store_a_failure(desk: Desk, sink: MailServer) -> None:
    async with run_mail_server(Fault(Stage.DATA)) as faulty:
        slow = asyncio.create_task(desk.send_delivery(server=faulty.url))
        await desk.reaches(DeliveryState.SENDING)
        later(timedelta(hours=1))
        assert await desk.send_delivery() is None
        assert await slow is None
    assert len(sink.mailbox) == 1
    assert await desk.state() == DeliveryState.SENT


async def test_the_first_attempt_is_always_due(desk: Desk, sink: MailServer) -> None:
    later(-timedelta(hours=2))
    assert await desk.send_delivery() is None
    assert len(sink.mailbox) == 1


async def test_setting_the_clock_forward_ends_no_claim(
    desk: Desk, sink: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = clock.monotonic()
    async with run_mail_server(Fault(Stage.ACCEPTED)) as faulty:
        killed = asyncio.create_task(desk.send_delivery(server=faulty.url))
        await asyncio.wait_for(faulty.arrival.wait(), 60)
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
    lease = longest_attempt(desk.settings) + timedelta(minutes=1)
    monkeypatch.setattr(clock, "_source", lambda: NOW + timedelta(hours=6))
    assert await desk.send_delivery() == lease - timedelta(hours=6)
    assert sink.mailbox == []

    # A lease's time later nobody can be at it any more.
    passed = lease.total_seconds() + 1
    monkeypatch.setattr(clock, "_source", lambda: NOW + timedelta(hours=6, seconds=passed))
    monkeypatch.setattr(clock, "_seconds", lambda: seconds + passed)
    assert await desk.send_delivery() is None
    assert len(sink.mailbox) == 1


@pytest.mark.parametrize("off", [timedelta(minutes=10), -timedelta(minutes=10)])
async def test_a_worker_with_a_wrong_clock_does_not_take_over_a_delivery(
    desk: Desk, sink: MailServer, monkeypatch: pytest.MonkeyPatch, off: timedelta
) -> None:
    clock.freeze(None)
    sink.delay = 1.0
    sending = asyncio.create_task(desk.send_delivery())
    await desk.reaches(DeliveryState.SENDING)
    monkeypatch.setattr(clock, "_source", lambda: datetime.now(UTC) + off)
    wait = await desk.send_delivery()
    assert wait is not None
    assert timedelta() < wait <= longest_attempt(desk.settings) + timedelta(minutes=1)
    assert await sending is None
    assert len(sink.mailbox) == 1


@pytest.mark.parametrize(
    ("stage", "cuts"),
    [
        (Stage.GREETING, False),
        (Stage.DATA, False),
        (Stage.ACCEPTED, False),
        (Stage.TRANSFER, True),
        (Stage.ACCEPTED, True),
    ],
)
async def test_a_failing_server_is_retried_later(
    desk: Desk, sink: MailServer, stage: Stage, cuts: bool
) -> None:
    async with run_mail_server(Fault(stage, cuts)) as faulty, asyncio.timeout(60):
        again = await desk.send_delivery(server=faulty.url)

    assert again == RETRY_DELAYS[0]
    row = await desk.row()
    assert (row.state, row.next_attempt_at) == (DeliveryState.PENDING, NOW + again)
    assert row.last_error.startswith("No answer from the mail server: ")
    later(RETRY_DELAYS[0])
    assert await desk.send_delivery() is None
    (received,) = sink.mailbox
    assert received.message["Message-ID"] == row.message_id


async def test_an_unreachable_server_is_retried_later(desk: Desk) -> None:
    assert await desk.send_delivery(server="smtp://127.0.0.1:1") == RETRY_DELAYS[0]
    row = await desk.row()
    assert row.state == DeliveryState.PENDING
    assert "Error connecting to 127.0.0.1 on port 1" in row.last_error


async def test_a_hanging_quit_does_not_undo_an_acceptance(desk: Desk) -> None:
    async with run_mail_server(Fault(Stage.QUIT)) as faulty:
        sending = asyncio.create_task(desk.send_delivery(server=faulty.url))
        await asyncio.wait_for(faulty.arrival.wait(), 60)
        await desk.reaches(DeliveryState.SENT, within=1.5)  # the farewell's end is 2 s away
        assert not sending.done()
        assert await sending is None
    assert len(faulty.mailbox) == 1


async def test_a_stopping_worker_records_an_acceptance(desk: Desk, sink: MailServer) -> None:
    sink.delay = 0.2
    sending = asyncio.create_task(desk.send_delivery())
    await desk.reaches(DeliveryState.SENDING)
    async with desk.database.transaction() as lock:
        # While the row is locked, the record of the acceptance has to wait.
        await lock.execute(update(Delivery).values(last_error=""))
        await asyncio.wait_for(sink.arrival.wait(), 60)
        await asyncio.sleep(0.1)
        sending.cancel()
        await asyncio.sleep(0.1)
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert await desk.state() == DeliveryState.SENT


async def test_a_refused_recipient_does_not_affect_the_other(
    desk: Desk, make: Factories, customer: Row, invoice: Row, sink: MailServer
) -> None:
    await make.owner(customer, email="gone@example.com")
    await make.owner(customer, email="ada@example.com")
    sink.refused["gone@example.com"] = "550 5.1.1 No such user"
    gone, ada = await schedule_invoice(desk.connection, desk.settings, invoice)

    assert [await desk.send_delivery(delivery=uuid) for uuid in (gone, ada)] == [None, None]

    row = await desk.row(gone)
    assert (row.state, row.next_attempt_at) == (DeliveryState.FAILED, None)
    assert row.last_error == "The mail server answered 550 5.1.1 No such user"
    assert (await desk.row(ada)).state == DeliveryState.SENT
    assert [mail.recipients for mail in sink.mailbox] == [["ada@example.com"]]


async def test_a_busy_server_is_retried(desk: Desk, sink: MailServer) -> None:
    sink.refused["accounts@example.com"] = "451 4.7.1 Greylisted, try again"
    assert await desk.send_delivery() == RETRY_DELAYS[0]
    row = await desk.row()
    assert row.last_error == "The mail server answered 451 4.7.1 Greylisted, try again"

    sink.refused.clear()
    sink.replies.append("452 4.3.1 No space left")
    later(RETRY_DELAYS[0])
    assert await desk.send_delivery() == RETRY_DELAYS[1]
    later(RETRY_DELAYS[1])
    assert await desk.send_delivery() is None

    assert len(sink.mailbox) == 1
    row = await desk.row()
    assert (row.state, row.attempts, row.last_error) == (DeliveryState.SENT, 3, "")


async def test_a_permanently_refused_message_has_failed(desk: Desk, sink: MailServer) -> None:
    sink.replies.append("554 5.7.1 Looks like spam")
    assert await desk.send_delivery() is None
    row = await desk.row()
    assert (row.state, row.attempts) == (DeliveryState.FAILED, 1)
    assert row.last_error == "The mail server answered 554 5.7.1 Looks like spam"


async def test_retry_delays_grow_and_end(desk: Desk, sink: MailServer) -> None:
    sink.refused["accounts@example.com"] = "450 4.2.1 Mailbox busy"
    pauses = []
    while (again := await desk.send_delivery()) is not None:
        pauses.append(again)
        later(again)

    assert pauses == sorted(set(pauses)) == list(RETRY_DELAYS)
    row = await desk.row()
    assert (row.state, row.attempts) == (DeliveryState.FAILED, len(RETRY_DELAYS) + 1)
    assert row.last_error == "The mail server answered 450 4.2.1 Mailbox busy"


async def test_a_delivery_that_kills_every_worker_fails_at_last(
    desk: Desk, sink: MailServer
) -> None:
    await desk.set(state=DeliveryState.SENDING, attempts=MAX_ATTEMPTS, last_error="Something")
    assert await desk.send_delivery() is None
    row = await desk.row()
    assert (row.state, row.next_attempt_at) == (DeliveryState.FAILED, None)
    assert row.last_error == "The worker ended in the middle of the last attempts."
    assert sink.sessions == 0


@pytest.mark.parametrize("state", [InvoiceState.PAID, InvoiceState.CANCELED])
async def test_an_invoice_that_is_no_longer_open_is_not_sent(
    desk: Desk, sink: MailServer, state: InvoiceState
) -> None:
    await desk.connection.execute(update(Invoice).values(state=state))
    assert await desk.send_delivery() is None
    row = await desk.row()
    assert row.state == DeliveryState.FAILED
    assert row.last_error == f"Not sent, because the invoice is now {state}."
    assert sink.sessions == 0


async def test_an_invalid_address_fails_with_the_reason(desk: Desk, sink: MailServer) -> None:
    hostile = "a@example.com\r\nBcc: everyone@example.com"
    await desk.set(recipient=hostile)
    assert await desk.send_delivery() is None
    row = await desk.row()
    assert row.state == DeliveryState.FAILED
    assert row.last_error == f"{hostile!r} is not an e-mail address."
    assert sink.sessions == 0


async def _deliver_to_files(desk: Desk, settings: Settings) -> object:
    async with Sender(desk.database, settings) as sender:
        return await sender.send_delivery(desk.delivery)


async def test_an_unexpected_error_is_logged_and_retried(desk: Desk, settings: Settings) -> None:
    settings.mail_dir.write_text("in the way")
    with capture_logs() as logged:
        assert await _deliver_to_files(desk, settings) == RETRY_DELAYS[0]
    assert (await desk.row()).last_error == "Unexpected error: FileExistsError."
    assert "delivery attempt broke" in [entry["event"] for entry in logged]


@pytest.mark.skipif(bool(no_small_disk()), reason=no_small_disk())
async def test_a_full_mail_dir_leaves_no_partial_file(desk: Desk, settings: Settings) -> None:
    with small_disk(settings.mail_dir, 1_000_000):
        filler = fill(settings.mail_dir)
        assert await _deliver_to_files(desk, settings) == RETRY_DELAYS[0]
        assert list(settings.mail_dir.glob("*")) == [filler]
        filler.unlink()
        await desk.set(next_attempt_at=NOW)
        assert await _deliver_to_files(desk, settings) is None
        assert [file.suffix for file in settings.mail_dir.glob("*")] == [".eml"]


async def test_without_a_mail_server_a_message_becomes_a_file(
    desk: Desk, settings: Settings
) -> None:
    with capture_logs() as logged:
        assert await _deliver_to_files(desk, settings) is None
    # As if the worker had died after writing.
    await desk.set(state=DeliveryState.SENDING, next_attempt_at=NOW)
    assert await _deliver_to_files(desk, settings) is None

    (path,) = settings.mail_dir.iterdir()
    assert path.name == f"{desk.delivery}.eml"
    assert b"To: accounts@example.com\r\n" in path.read_bytes()
    assert {"event": "mail written", "path": str(path), "log_level": "info"} in logged
    assert await desk.state() == DeliveryState.SENT


async def test_an_acceptance_is_recorded_after_a_database_outage(
    desk: Desk, sink: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RECORD_RETRY_DELAYS", (0.02,))  # the last one repeats
    sink.delay = 0.2
    sending = asyncio.create_task(desk.send_delivery())
    await desk.reaches(DeliveryState.SENDING)
    await _rename(desk.connection, "notification_deliveries", "away")
    await asyncio.wait_for(sink.arrival.wait(), 60)
    await asyncio.sleep(0.2)
    await _rename(desk.connection, "away", "notification_deliveries")
    assert await sending is None
    assert await desk.state() == DeliveryState.SENT
    assert len(sink.mailbox) == 1


async def _rename(connection: AsyncConnection, table: str, name: str) -> None:
    await connection.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))

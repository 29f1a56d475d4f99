"""The deliveries of a worker share connections, statements and files."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import DeliveryState
from app.database.engine import Database
from app.deliveries.models import Delivery
from app.deliveries.repository import DeliveryRepository
from app.deliveries.schedule import DELIVER
from app.documents.pdf.errors import PdfTimeout
from app.documents.pdf.maker import PdfMaker
from app.invoices.actions.freeze import freeze
from app.jobs.registry import build_registry
from app.jobs.runner import JobRunner
from app.notifications.sending import Sender
from app.outbox import repository as outbox
from app.settings import Settings
from tests.notifications.conftest import sending_to
from tests.support.deliveries import schedule_invoice
from tests.support.factories import Factories, Row
from tests.support.smtp import MailServer

_CONNECTIONS = 4
_RECIPIENTS = 40


@pytest.fixture
async def to_sink(settings: Settings, sink: MailServer) -> Settings:
    changes = {"smtp_connections": _CONNECTIONS, "smtp_timeout": 20}
    return sending_to(settings, sink.url).model_copy(update=changes)


@pytest.fixture
async def runner(to_sink: Settings) -> AsyncIterator[JobRunner]:
    """A worker's runner, with database connections of its own."""
    database = Database(to_sink)
    runner = JobRunner(database, to_sink, build_registry(to_sink))
    yield runner
    await runner.stop(0)
    await database.close()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The documents of which a PDF was made; it is made of nothing."""
    documents: list[bytes] = []

    async def make(maker: PdfMaker, document: bytes, batches: Sequence[bytes]) -> bytes:
        documents.append(document)
        await asyncio.sleep(0.05)
        return b"%PDF"

    monkeypatch.setattr(PdfMaker, "make", make)
    return documents


@pytest.fixture
async def addresses(
    connection: AsyncConnection, make: Factories, to_sink: Settings, customer: Row, invoice: Row
) -> list[str]:
    """The addresses of many recipients, for each of which a delivery of an invoice is due."""
    await freeze(connection, [invoice.id], to_sink)
    addresses = [f"owner-{number}@example.com" for number in range(_RECIPIENTS)]
    for address in addresses:
        await make.owner(customer, email=address)
    await schedule_invoice(connection, to_sink, invoice)
    return addresses


async def run(runner: JobRunner) -> None:
    async with asyncio.timeout(60):
        await runner.start_due_jobs()
        await runner.wait_until_idle()


async def number_of_sent(connection: AsyncConnection) -> int:
    statement = select(func.count()).where(Delivery.state == DeliveryState.SENT)
    return (await connection.execute(statement)).scalar_one()


@pytest.mark.usefixtures("made")
async def test_a_setting_limits_the_connections_which_all_deliveries_share(
    connection: AsyncConnection, addresses: list[str], runner: JobRunner, sink: MailServer
) -> None:
    sink.delay = 0.01
    await run(runner)
    assert sorted(mail.recipients[0] for mail in sink.mailbox) == sorted(addresses)
    assert await number_of_sent(connection) == _RECIPIENTS
    assert (sink.sessions, sink.most_sessions) == (_CONNECTIONS, _CONNECTIONS)
    await runner.stop(0)
    assert sink.farewells == _CONNECTIONS


@pytest.mark.usefixtures("addresses")
async def test_the_files_of_an_invoice_are_made_once_for_all_recipients(
    runner: JobRunner, sink: MailServer, made: list[bytes]
) -> None:
    await run(runner)
    assert len(made) == 1
    files = [
        [part.get_content() for part in mail.message.iter_attachments()] for mail in sink.mailbox
    ]
    assert files == [[b"%PDF"]] * _RECIPIENTS


@pytest.mark.usefixtures("addresses")
async def test_a_file_that_could_not_be_made_is_made_for_the_next_mail(
    connection: AsyncConnection,
    to_sink: Settings,
    sink: MailServer,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = (await connection.execute(select(Delivery.uuid).limit(2))).scalars()

    async def time_out(*_arguments: object) -> bytes:
        raise PdfTimeout("The PDF took more than 60 seconds.")

    async def succeed(*_arguments: object) -> bytes:
        return b"%PDF"

    async with Sender(database, to_sink) as sender:
        monkeypatch.setattr(PdfMaker, "make", time_out)
        await sender.send_delivery(first)
        monkeypatch.setattr(PdfMaker, "make", succeed)
        await sender.send_delivery(second)
    assert [len(list(mail.message.iter_attachments())) for mail in sink.mailbox] == [0, 1]


@pytest.mark.usefixtures("made", "addresses")
async def test_many_deliveries_take_few_statements(to_sink: Settings, sink: MailServer) -> None:
    """They are claimed and read together; their outcomes are recorded as they come."""
    settings = to_sink.model_copy(update={"smtp_connections": _RECIPIENTS})
    statements = await _run_noting(settings)
    assert len(sink.mailbox) == _RECIPIENTS
    assert len(statements) <= 3 * _RECIPIENTS, "\n".join(statements)
    assert sum("attempts=(notification_deliveries.attempts" in each for each in statements) == 1
    assert sum("invoice_documents.content" in each for each in statements) == 1


@pytest.mark.usefixtures("made")
async def test_a_delivery_alone_takes_few_statements(
    connection: AsyncConnection, to_sink: Settings, invoice: Row, sink: MailServer
) -> None:
    """The poll reads the clock and claims the entry. Then the delivery is claimed, its document and
    lines are read, its outcome and that of the entry are recorded, and the next entry is looked
    for."""
    await freeze(connection, [invoice.id], to_sink)
    await schedule_invoice(connection, to_sink, invoice)
    assert len(await _run_noting(to_sink)) == 8
    assert len(sink.mailbox) == 1


async def _run_noting(settings: Settings) -> list[str]:
    """Run the due jobs in a worker's runner; return its statements."""
    database = Database(settings)
    statements: list[str] = []

    def note(_connection: object, _cursor: object, text: str, *_: object) -> None:
        statements.append(text)

    runner = JobRunner(database, settings, build_registry(settings))
    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        await run(runner)
    finally:
        await runner.stop(0)
        await database.close()
    return statements


@pytest.mark.usefixtures("made")
async def test_two_jobs_of_one_delivery_send_it_once(
    connection: AsyncConnection,
    to_sink: Settings,
    invoice: Row,
    runner: JobRunner,
    sink: MailServer,
) -> None:
    (delivery,) = await schedule_invoice(connection, to_sink, invoice)
    await outbox.record_job(connection, DELIVER, {"delivery": str(delivery)})
    await run(runner)
    assert len(sink.mailbox) == 1
    assert await number_of_sent(connection) == 1


async def test_a_delivery_that_is_claimed_twice_at_once_is_claimed_once(
    connection: AsyncConnection, database: Database, to_sink: Settings, invoice: Row
) -> None:
    (delivery,) = await schedule_invoice(connection, to_sink, invoice)
    deliveries = DeliveryRepository(database, timedelta(minutes=5))
    claims = await asyncio.gather(*(deliveries.claim(delivery) for _ in range(3)))
    assert [claim is None for claim in claims] == [False, True, True]


@pytest.mark.usefixtures("addresses")
async def test_batches_that_overlap_claim_each_delivery_once(
    connection: AsyncConnection, database: Database
) -> None:
    """Two workers with the same deliveries in opposite order: neither waits for the other's."""
    uuids = list((await connection.execute(select(Delivery.uuid))).scalars())
    workers = [DeliveryRepository(database, timedelta(minutes=5)) for _ in range(2)]
    found = await asyncio.gather(
        *(workers[0].claim(uuid) for uuid in uuids),
        *(workers[1].claim(uuid) for uuid in reversed(uuids)),
    )
    claimed = [claim.uuid for claim in found if claim is not None]
    assert sorted(claimed) == sorted(uuids)
    assert {claim.attempt for claim in found if claim is not None} == {1}


@pytest.mark.usefixtures("made", "addresses")
async def test_a_delivery_that_waits_for_a_connection_when_the_worker_stops_is_left(
    connection: AsyncConnection, runner: JobRunner, sink: MailServer
) -> None:
    """The worker has claimed eight jobs, of which four send; the others are another worker's."""
    sink.delay = 0.5
    await runner.start_due_jobs()
    async with asyncio.timeout(30):
        while len(sink.open_sessions) < _CONNECTIONS:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)
    await runner.stop(30)
    assert len(sink.mailbox) == _CONNECTIONS
    states = select(Delivery.state, func.count()).group_by(Delivery.state)
    assert {row.state: row[1] for row in await connection.execute(states)} == {
        "sent": _CONNECTIONS,
        "pending": _RECIPIENTS - _CONNECTIONS,
    }

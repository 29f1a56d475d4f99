"""The real server shuts down: under load, and with clients that never end their requests."""

import asyncio
import os
import re
import signal
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.invoices.models import Invoice
from app.payments.models import Payment
from app.shutdown import FORCED_EXIT_CODE, SHUTDOWN_SECONDS
from tests.support.factories import Factories, Row
from tests.support.raw_client import Cut, RawClient, raw_clients
from tests.support.server import Server, run_server
from tests.support.worker import until

DRAIN_SECONDS = 3.0
"""The requests that must come meanwhile take a fraction of it, also on a busy machine."""
LOADED_DRAIN_SECONDS = 0.3
"""The load takes both processors until the end."""
UPLOAD = (
    b'--B\r\nContent-Disposition: form-data; name="date"\r\n\r\n2026-11-05\r\n'
    b'--B\r\nContent-Disposition: form-data; name="proof"; filename="a.pdf"\r\n\r\n%PDF-1.4 '
)
UPLOADED = b"\r\n--B--\r\n"


async def end_of(server: Server) -> int:
    async with asyncio.timeout(SHUTDOWN_SECONDS):
        return await asyncio.to_thread(server.process.wait)


Connect = Callable[[], Awaitable[RawClient]]


class Load:
    """Clients that each read and change one invoice, until connections are refused."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self.sent: dict[Row, str] = {}
        self.acknowledged: dict[Row, str] = {}
        self.answers = 0
        self.is_ending = False
        """Whether the server was asked to end."""
        self.last_answers = 0
        """Responses that closed the connection."""
        self.lost: list[str] = []
        """Requests that the server may have accepted and did not answer."""
        self.reset = 0
        """New connections that the kernel reset, before the server accepted them."""

    async def is_heavy(self) -> bool:
        """Return whether the clients have had many responses."""
        return self.answers > 100

    async def work(self, invoice: Row, *, keep_alive: bool) -> None:
        """Send requests until a connection is refused; use a connection while it is open."""
        client: RawClient | None = None
        for number in count():
            is_new = client is None
            if client is None:
                try:
                    client = await self._connect()
                except ConnectionRefusedError:
                    return
            try:
                closes = await self._call(client, invoice, number)
            except Cut as cut:
                # At the end the database shows that a change in `reset` was not made.
                if is_new and self.is_ending:
                    self.reset += 1
                    self.sent[invoice] = self.acknowledged.get(invoice, "")
                else:
                    self.lost.append(f"{number} of {invoice.id}: {cut}")
                closes = True
            if closes or not keep_alive:
                client.close()
                client = None

    async def _call(self, client: RawClient, invoice: Row, number: int) -> bool:
        path = f"/api/invoices/{invoice.uuid}/"
        if number % 2:
            answer = await client.get(path)
            assert answer.json()["backend_id"] == self.acknowledged[invoice]
        else:
            value = f"value {number}"
            self.sent[invoice] = value
            answer = await client.post(f"{path}set_backend_id/", {"backend_id": value})
            self.acknowledged[invoice] = value
        assert answer.status == 200, answer
        self.answers += 1
        self.last_answers += answer.closes
        return answer.closes


@pytest.mark.parametrize("processes", [1, 2])
async def test_under_load_every_accepted_request_is_answered(
    database_url: str,
    connection: AsyncConnection,
    make: Factories,
    tmp_path: Path,
    processes: int,
) -> None:
    staff = await make.staff()
    invoices = [await payable(make) for _ in range(24)]
    settings = {"DATABASE_URL": database_url, "DRAIN_SECONDS": str(LOADED_DRAIN_SECONDS)}
    async with (
        run_server(settings, tmp_path, "--workers", str(processes)) as server,
        raw_clients(server.url, staff.key) as connect,
    ):
        await until(lambda: started(server, processes))
        load = Load(connect)
        slow = await begin_payment(connect, invoices[0])
        clients = [
            asyncio.create_task(load.work(invoice, keep_alive=number % 3 > 0))
            for number, invoice in enumerate(invoices[1:])
        ]
        await until(load.is_heavy)
        server.process.terminate()
        load.is_ending = True
        asked = monotonic()
        await asyncio.gather(*clients)
        assert monotonic() - asked > LOADED_DRAIN_SECONDS
        # Nobody listens, and an upload that began before goes on.
        assert server.process.poll() is None
        slow.write(UPLOADED)
        answer = await slow.answer()
        assert (answer.status, answer.closes) == (200, True)
        assert await end_of(server) == 0

    assert load.lost == []
    assert load.last_answers > 0
    found = await connection.execute(select(Invoice.id, Invoice.backend_id))
    kept = {row.id: row.backend_id for row in found if row.backend_id}
    assert kept == {invoice.id: value for invoice, value in load.acknowledged.items()}
    assert load.acknowledged == load.sent
    paid = select(Invoice.state).where(Invoice.id == invoices[0].id)
    assert (await connection.execute(paid)).scalar_one() == InvoiceState.PAID


async def started(server: Server, number: int) -> bool:
    return server.log.read_text().count("Application startup complete.") == number


async def begin_payment(connect: Connect, invoice: Row, size: int = 100) -> RawClient:
    """Begin to pay an invoice with a proof of about that size, and send all but its end."""
    begun = UPLOAD + b"x" * size
    client = await connect()
    client.begin(
        "POST",
        f"/api/invoices/{invoice.uuid}/paid/",
        "Content-Type: multipart/form-data; boundary=B",
        f"Content-Length: {len(begun) + len(UPLOADED)}",
    )
    client.write(begun)
    return client


async def payable(make: Factories) -> Row:
    return await make.payable_invoice()


async def test_the_server_is_not_ready_before_it_stops_listening(
    database_url: str, make: Factories, tmp_path: Path
) -> None:
    key = (await make.staff()).key
    settings = {"DATABASE_URL": database_url, "DRAIN_SECONDS": str(DRAIN_SECONDS)}
    async with (
        run_server(settings, tmp_path) as server,
        raw_clients(server.url, key) as connect,
    ):
        used, unused, quiet = [await connect() for _ in range(3)]
        for path in ("/health/startup", "/health/ready", "/api/invoices/"):
            answer = await used.get(path)
            assert (answer.status, answer.closes) == (200, False)
        assert (await quiet.get("/health/live")).status == 200

        server.process.terminate()
        async with asyncio.timeout(DRAIN_SECONDS):
            while not (answer := await used.get("/health/live")).closes:
                assert answer.status == 200
        answer = await (await connect()).get("/health/ready")
        assert (answer.status, answer.json()) == (503, {"status": "draining"})
        # Clients that come all the same are served: those that were there, and new ones.
        for client in (unused, await connect()):
            client.begin("GET", "/api/invoices/")
            client.begin("GET", "/health/startup")  # without waiting for the first answer
            assert not (await client.answer()).closes
            answer = await client.answer()
            assert (answer.status, answer.closes) == (200, True)
            assert await client.ended()
        assert await quiet.ended()
        assert await end_of(server) == 0


CUTTING_SOON = (
    "from app.server import server; server.ABORT_AFTER = 1.0; from app.cli.main import main; main()"
)


@pytest.mark.parametrize(
    "end",
    [
        (("-c", CUTTING_SOON), 6.0),
        pytest.param((("-m", "app"), SHUTDOWN_SECONDS), marks=pytest.mark.slow),
    ],
)
async def test_requests_that_do_not_end_are_aborted(
    database_url: str,
    connection: AsyncConnection,
    make: Factories,
    tmp_path: Path,
    end: tuple[tuple[str, ...], float],
) -> None:
    program, limit = end
    key = (await make.staff()).key
    invoice = await payable(make)
    settings = {"DATABASE_URL": database_url}
    async with (
        run_server(settings, tmp_path, program=program) as server,
        raw_clients(server.url, key) as connect,
    ):
        upload = await begin_payment(connect, invoice, 500_000)
        head = await connect()
        head.write(b"GET /api/invoices/ HTTP/1.1\r\nHost: ")
        proofs = tmp_path / "proofs"
        async with asyncio.timeout(60):
            while not list(proofs.glob("*.part")):  # noqa: ASYNC110 - no event announces it
                await asyncio.sleep(0.05)

        server.process.terminate()
        asked = monotonic()
        assert await end_of(server) == 0
        assert monotonic() - asked < limit
        assert await upload.ended()
        assert await head.ended()
    assert list(proofs.iterdir()) == []
    state = select(Invoice.state).where(Invoice.id == invoice.id)
    assert (await connection.execute(state)).scalar_one() == InvoiceState.CREATED
    payments = select(func.count()).select_from(Payment)
    assert (await connection.execute(payments)).scalar_one() == 0


async def test_a_dead_process_is_replaced_and_a_second_signal_ends_all_at_once(
    database_url: str, make: Factories, tmp_path: Path
) -> None:
    key = (await make.staff()).key
    invoice = await payable(make)
    settings = {"DATABASE_URL": database_url, "DRAIN_SECONDS": "15"}
    async with (
        run_server(settings, tmp_path, "--workers", "2") as server,
        raw_clients(server.url, key) as connect,
    ):
        await until(lambda: started(server, 2))
        [one, _] = re.findall(r"Started server process \[(\d+)\]", server.log.read_text())
        os.kill(int(one), signal.SIGKILL)
        await until(lambda: started(server, 3))

        upload = await begin_payment(connect, invoice)
        await asyncio.sleep(0.2)
        server.process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.5)
        assert server.process.poll() is None  # the upload may still end
        asked = monotonic()
        server.process.send_signal(signal.SIGINT)
        assert await end_of(server) == FORCED_EXIT_CODE
        assert monotonic() - asked < 10
        assert await upload.ended()
        with pytest.raises(ConnectionRefusedError):
            await connect()

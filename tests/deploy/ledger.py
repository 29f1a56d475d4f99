"""A steady load whose client keeps a ledger of the answers, to be compared with what was kept."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from hashlib import sha256
from random import Random
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.vocabulary import DeliveryState
from app.invoices.tables import Invoice
from app.notifications.tables import Delivery
from app.payments.proofs import ProofStore
from app.payments.tables import Payment
from tests.deploy.books import YEAR, Books
from tests.support.smtp import MailSink
from tests.support.worker import until

PATIENCE = 10.0
"""Seconds after which an answer that has not come counts as lost."""
_PACE = 0.05
_PROOF_BYTES = 100_000


class Ledger:
    """What the client of a load was told."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.faults: list[str] = []
        """What was no answer, or a wrong one."""
        self.paid: dict[UUID, str] = {}
        """The digests of the proofs of the payments that were acknowledged."""
        self.annotated: dict[UUID, str] = {}
        """The last text of each invoice that was acknowledged."""
        self.notified: list[UUID] = []


class Load:
    """Calls the services at `targets`, which may change while it runs, in turn."""

    def __init__(
        self, books: Books, targets: list[str], client: Callable[[str], httpx.AsyncClient]
    ) -> None:
        self.books = books
        self.targets = targets
        self.ledger = Ledger()
        self._client = client
        self._clients: dict[str, httpx.AsyncClient] = {}
        self._random = Random(7)
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._truth: dict[UUID, dict[str, Any]] = {}

    async def learn(self) -> None:
        """Read what nobody changes: so it must be answered for all time."""
        for invoice in self.books.untouched:
            answer = await self._client_of(self.targets[0]).get(f"/api/invoices/{invoice}/")
            self._truth[invoice] = answer.raise_for_status().json()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Ledger]:
        """Keep the load up until `stop`, at the latest to the end."""
        callers = [self._read, self._read, self._list, self._annotate, self._notify, self._pay]
        self._tasks = [asyncio.create_task(caller()) for caller in callers]
        try:
            yield self.ledger
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Call no more; what is under way is awaited."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)
        for client in self._clients.values():
            await client.aclose()

    def _client_of(self, target: str) -> httpx.AsyncClient:
        if target not in self._clients:
            self._clients[target] = self._client(target)
        return self._clients[target]

    async def _call(self, what: str, method: str, path: str, **request: Any) -> httpx.Response:
        """Make a call; what is no good answer within the time is written down and raised."""
        target = self.targets[self._random.randrange(len(self.targets))]
        started = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._client_of(target).request(method, path, **request)
            answer.raise_for_status()
        except (httpx.HTTPError, TimeoutError) as error:
            told = error.response.text if isinstance(error, httpx.HTTPStatusError) else ""
            after = time.monotonic() - started
            self.ledger.faults.append(f"{what} after {after:.1f} s: {error!r} {told[:200]}")
            raise
        self.ledger.answers[what, answer.status_code] += 1
        return answer

    async def _repeat(self, step: Callable[[], Awaitable[None]], pace: float = _PACE) -> None:
        while not self._stopping.is_set():
            with suppress(httpx.HTTPError, TimeoutError):  # they stand in the ledger
                await step()
            await asyncio.sleep(pace)

    async def _read(self) -> None:
        async def step() -> None:
            invoice = self._random.choice(self.books.untouched)
            answer = await self._call("retrieve", "GET", f"/api/invoices/{invoice}/")
            # A newer version may tell more.
            if not self._truth[invoice].items() <= answer.json().items():
                self.ledger.faults.append(f"retrieve: {invoice} is answered otherwise")

        await self._repeat(step)

    async def _list(self) -> None:
        count = len(self.books.untouched) // 2

        async def step() -> None:
            query = {"year": YEAR, "month": 12, "page_size": 10}
            answer = await self._call("list", "GET", "/api/invoices/", params=query)
            if answer.headers["X-Result-Count"] != str(count):
                self.ledger.faults.append(f"list: {answer.headers['X-Result-Count']} in a month")

        await self._repeat(step)

    async def _pay(self) -> None:
        invoices = iter(self.books.to_pay)

        async def step() -> None:
            invoice = next(invoices, None)
            if invoice is None:
                return
            proof = b"%PDF-1.7\n" + self._random.randbytes(_PROOF_BYTES)
            await self._call(
                "paid",
                "POST",
                f"/api/invoices/{invoice}/paid/",
                data={"date": "2026-11-05"},
                files={"proof": ("proof.pdf", proof)},
            )
            self.ledger.paid[invoice] = sha256(proof).hexdigest()

        await self._repeat(step)

    async def _annotate(self) -> None:
        async def step() -> None:
            invoice = self._random.choice(self.books.to_annotate)
            words = f"{self._random.random()}"
            path = f"/api/invoices/{invoice}/set_reference_number/"
            await self._call("set", "POST", path, json={"reference_number": words})
            self.ledger.annotated[invoice] = words

        await self._repeat(step)

    async def _notify(self) -> None:
        invoices = iter(self.books.to_notify)

        async def step() -> None:
            invoice = next(invoices, None)
            if invoice is not None:
                path = f"/api/invoices/{invoice}/send_notification/"
                await self._call("notify", "POST", path)
                self.ledger.notified.append(invoice)

        # Its mail costs a worker more than anything else here.
        await self._repeat(step, pace=6 * _PACE)


async def compare(ledger: Ledger, connection: AsyncConnection, proofs: ProofStore) -> None:
    """Compare the ledger of a load without faults with the database and the folder of proofs."""
    payments: dict[UUID, list[str | None]] = {}
    states: dict[UUID, str] = {}
    statement = select(
        Invoice.uuid, Invoice.state, Payment.proof_sha256, Payment.proof_key
    ).outerjoin(Payment, Payment.invoice_id == Invoice.id)
    for invoice, state, digest, key in await connection.execute(statement):
        states[invoice] = state
        if digest is not None and key is not None:
            payments.setdefault(invoice, []).append(digest)
            assert sha256(proofs.path(key).read_bytes()).hexdigest() == digest
    assert payments == {invoice: [digest] for invoice, digest in ledger.paid.items()}
    assert {invoice for invoice, state in states.items() if state == "paid"} == set(ledger.paid)
    assert len(proofs.older_than(clock.now() + timedelta(days=1))) == len(ledger.paid)

    annotations = await connection.execute(
        select(Invoice.uuid, Invoice.reference_number).where(Invoice.reference_number != "")
    )
    assert {row.uuid: row.reference_number for row in annotations} == ledger.annotated


async def all_are_sent(connection: AsyncConnection, number: int) -> None:
    """Wait until so many deliveries have been sent, and none is open."""

    async def are_sent() -> bool:
        sent = func.count().filter(Delivery.state == DeliveryState.SENT)
        found = await connection.execute(select(func.count(), sent).select_from(Delivery))
        return tuple(found.one()) == (number, number)

    await until(are_sent)


def each_got_one(books: Books, notified: Sequence[UUID], sink: MailSink) -> None:
    """Each notification came once, to whom it was for."""
    expected = Counter(books.to_notify[invoice] for invoice in notified)
    assert Counter(address for mail in sink.mailbox for address in mail.recipients) == expected
    message_ids = {mail.message["Message-ID"] for mail in sink.mailbox}
    assert len(message_ids) == len(sink.mailbox)

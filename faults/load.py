"""Generates a steady load of reads and changes and checks the responses."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date, timedelta
from decimal import Decimal
from itertools import count, cycle
from time import monotonic
from typing import Any
from uuid import UUID

from app import clock
from faults.client import Client, ClientResponse, ObservedStates, Upload, new_key
from faults.dataset import CREDITED_NET, PRICES, Dataset, SampleInvoice
from faults.failover import FailoverTimes
from faults.request_log import ANNOTATIONS, GROUPS, Kind, RequestLog

_READERS, _PAYERS, _ANNOTATORS, _NOTIFIERS, _CREDITORS = 2, 2, 2, 1, 2
_READ_PAUSE, _PAY_PAUSE, _ANNOTATE_PAUSE, _NOTIFY_PAUSE, _CREDIT_PAUSE = 0.04, 0.4, 0.15, 0.4, 0.4
"""Seconds between two requests of each client."""
_PAGE = 20
_SECOND = 1.0
_RECOVERY_SECONDS = 60.0
_FINISHING_SECONDS = 60.0
_PROOF_BYTES = (2_000, 60_000)


class LoadGenerator:
    """Clients that read, pay, annotate and notify, and log every response in `request_log`.

    They credit invoices, too, if the dataset has some for that. They call the APIs at `urls` in
    turn; the list may change.
    """

    def __init__(self, urls: Sequence[str], dataset: Dataset) -> None:
        self.dataset = dataset
        self.request_log = RequestLog()
        self.unacknowledged_mails: set[str] = set()
        """Message-IDs of mails that were accepted without a reply; they may be sent twice."""
        self.recovery: float | None = None
        """Seconds from the end of the fault until all requests succeeded again."""
        self.fault_ended: float | None = None
        self.failover: FailoverTimes | None = None
        """The times of the failover, if the case caused one."""
        self._client = Client(urls, dataset.headers, self.request_log)
        self._observed = ObservedStates(self.request_log)
        self._stopping = asyncio.Event()
        self._to_pay = iter(dataset.to_pay)
        self._to_notify = iter(dataset.to_notify)
        self._random = random.Random(1)

    @property
    def client(self) -> Client:
        """The client, for additional requests of a case while the load runs."""
        return self._client

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the load for the length of the context, then wait for all responses."""
        self._stopping.clear()
        self._client = Client(self._client.urls, self.dataset.headers, self.request_log)
        async with self._client, asyncio.TaskGroup() as tasks:
            self._begin(tasks)
            try:
                yield
            finally:
                self._stopping.set()
                asyncio.get_running_loop().call_later(_FINISHING_SECONDS, self._client.gives_up.set)

    def _begin(self, tasks: asyncio.TaskGroup) -> None:
        for _ in range(_READERS):
            tasks.create_task(self._read())
        for _ in range(_PAYERS):
            tasks.create_task(self._pay())
        for number in range(_ANNOTATORS):
            mine = self.dataset.to_annotate[number::_ANNOTATORS]
            tasks.create_task(self._annotate(mine))
        for _ in range(_NOTIFIERS):
            tasks.create_task(self._notify())
        if self.dataset.to_credit:
            for number in range(_CREDITORS):
                tasks.create_task(self._credit(self.dataset.to_credit[number::_CREDITORS]))

    async def wait_until_healthy(self) -> None:
        """Wait until all requests succeed, before a fault."""
        await self._wait_for_second_of_success(monotonic())

    async def wait_for_recovery(self) -> float:
        """Mark the end of the fault; wait for the recovery and return its time in seconds.

        The service has recovered at the start of the first second in which every group of the
        load succeeds and no request fails.
        """
        self.fault_ended = monotonic()
        self.recovery = await self._wait_for_second_of_success(self.fault_ended)
        return self.recovery

    async def _wait_for_second_of_success(self, since: float) -> float:
        async with asyncio.timeout(_RECOVERY_SECONDS):
            while True:
                await asyncio.sleep(0.05)
                start = monotonic() - _SECOND
                if start >= since and self._has_succeeded_since(start):
                    return start - since

    def _has_succeeded_since(self, start: float) -> bool:
        succeeded = set()
        for operation in reversed(self.request_log.operations):
            for attempt in operation.attempts:
                if attempt.end >= start:
                    if not attempt.succeeded:
                        return False
                    succeeded.add(operation.kind.group)
            if operation.attempts and operation.attempts[-1].end < start - _RECOVERY_SECONDS:
                break
        return succeeded >= GROUPS | ({Kind.CREDIT.group} if self.dataset.to_credit else set())

    async def _pause(self, seconds: float) -> None:
        """Pause, or return early when the load ends."""
        try:
            async with asyncio.timeout(seconds * self._random.uniform(0.5, 1.5)):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _read(self) -> None:
        for kind in cycle((Kind.LIST, Kind.RETRIEVE, Kind.ITEMS, Kind.STATS, Kind.GROWTH)):
            if self._stopping.is_set():
                return
            await self.read_one(kind)
            await self._pause(_READ_PAUSE)

    async def read_one(self, kind: Kind) -> None:
        """Send one read of a kind and check the response."""
        uuid = self._random.choice(self.dataset.all).uuid
        match kind:
            case Kind.LIST:
                await self._list()
            case Kind.RETRIEVE:
                await self._retrieve(uuid)
            case Kind.ITEMS:
                await self._read_and_check(
                    kind, f"/api/invoices/{uuid}/items/", uuid, check=_check_items
                )
            case Kind.STATS:
                await self._read_and_check(
                    kind, f"/api/invoices/{uuid}/stats/", uuid, check=_check_stats
                )
            case Kind.GROWTH:
                await self._read_and_check(kind, "/api/invoices/growth/", check=_check_growth)

    async def _read_and_check(
        self, kind: Kind, path: str, uuid: UUID | None = None, *, check: Callable[[Any], bool]
    ) -> None:
        answer = await self._client.read(kind, path, uuid)
        if answer.attempt.succeeded and not _satisfies(answer, check):
            self.request_log.violations.append(f"{kind} of {uuid or 'all'} returned wrong data")

    async def _list(self) -> None:
        page = self._random.randint(1, len(self.dataset.all) // _PAGE)
        known = dict(self._observed.ranks)
        path = f"/api/invoices/?page_size={_PAGE}&page={page}"
        answer = await self._client.read(Kind.LIST, path)
        if answer.attempt.succeeded:
            if not _satisfies(
                answer, lambda listed: all(map(_adds_up, listed)) and len(listed) == _PAGE
            ):
                self.request_log.violations.append(f"page {page} of the list does not add up")
                return
            for invoice in answer.json():
                self._observed.record(invoice, known.get(UUID(invoice["uuid"]), 0))

    async def _retrieve(self, uuid: UUID, **expected: str) -> None:
        known = self._observed.rank(uuid)
        answer = await self._client.read(Kind.RETRIEVE, f"/api/invoices/{uuid}/", uuid)
        if not answer.attempt.succeeded:
            return
        if not _satisfies(answer, _adds_up):
            self.request_log.violations.append(f"invoice {uuid} does not add up")
            return
        invoice = answer.json()
        self._observed.record(invoice, known)
        for name, value in expected.items():
            if invoice[name] != value:
                self.request_log.violations.append(
                    f"invoice {uuid} was read with {name} {invoice[name]!r} after {value!r} was set"
                )

    async def _pay(self) -> None:
        while not self._stopping.is_set() and await self.pay_one():
            await self._pause(_PAY_PAUSE)

    async def pay_one(self) -> bool:
        """Pay the next invoice with a proof; return False if none is left."""
        subject = next(self._to_pay, None)
        if subject is None:
            return False
        upload = self.proof()
        operation = self.request_log.open(Kind.PAID, subject.uuid, upload.value, new_key())
        answer = await self._client.finish(operation, upload)
        self.check_paid(subject.uuid, answer)
        if answer.attempt.succeeded:
            await self._retrieve(subject.uuid, state="paid")
        return True

    def next_to_pay(self) -> SampleInvoice:
        """Return an invoice that the load will not pay; raises StopIteration."""
        return next(self._to_pay)

    def check_paid(self, uuid: UUID, answer: ClientResponse) -> None:
        """Check the response to a payment; from now on the invoice must be read as paid."""
        if answer.attempt.succeeded:
            if not _satisfies(answer, lambda paid: _adds_up(paid) and paid["state"] == "paid"):
                self.request_log.violations.append(f"the answer to paid {uuid} is wrong")
            self._observed.ranks[uuid] = 2

    def proof(self) -> Upload:
        """Return a form of `paid` with a unique proof."""
        content = b"%PDF-1.7\n" + self._random.randbytes(self._random.randint(*_PROOF_BYTES))
        day: date = clock.today() - timedelta(days=self._random.randint(0, 300))
        return Upload({"date": day.isoformat()}, "transfer.pdf", content)

    async def _annotate(self, subjects: tuple[SampleInvoice, ...]) -> None:
        number = 0
        while not self._stopping.is_set():
            subject = self._random.choice(subjects)
            kind = self._random.choice(list(ANNOTATIONS))
            field = ANNOTATIONS[kind]
            number += 1
            value = f"https://pay.example/{subject.uuid.hex}/{number}"
            answer = await self._client.change(kind, subject.uuid, value, {field: value})
            if answer.attempt.succeeded and number % 3 == 0:
                await self._retrieve(subject.uuid, **{field: value})
            await self._pause(_ANNOTATE_PAUSE)

    async def _notify(self) -> None:
        for subject in self._to_notify:
            await self._client.change(Kind.NOTIFY, subject.uuid)
            await self._pause(_NOTIFY_PAUSE)
            if self._stopping.is_set():
                return

    async def _credit(self, subjects: tuple[SampleInvoice, ...]) -> None:
        """Give back a part of one invoice after the other, several times each."""
        for number in count(1):
            for subject in subjects:
                reason = f"Correction {number} of {subject.uuid}"
                part = {"uuid": str(subject.items[0]), "price": str(CREDITED_NET)}
                body = {"reason": reason, "items": [part]}
                answer = await self._client.change(Kind.CREDIT, subject.uuid, reason, body)
                self._check_credited(reason, answer)
                await self._pause(_CREDIT_PAUSE)
                if self._stopping.is_set():
                    return

    def _check_credited(self, reason: str, answer: ClientResponse) -> None:
        if answer.attempt.succeeded and not _satisfies(
            answer, lambda note: bool(note["reason"] == reason)
        ):
            self.request_log.violations.append(f"the answer to {reason} is wrong")


def _satisfies(answer: ClientResponse, check: Callable[[Any], bool]) -> bool:
    try:
        return check(answer.json())
    except (ValueError, KeyError, TypeError):
        return False


def _adds_up(invoice: Any) -> bool:
    price = sum((Decimal(str(item["price"])) for item in invoice["items"]), Decimal(0))
    total = Decimal(invoice["price"]) + Decimal(invoice["tax"])
    return Decimal(invoice["price"]) == price and Decimal(invoice["total"]) == total


def _check_items(items: Any) -> bool:
    return sorted(Decimal(str(item["price"])) for item in items) == list(PRICES)


def _check_stats(stats: Any) -> bool:
    return bool(stats == [])


def _check_growth(growth: Any) -> bool:
    sums = zip(
        growth["other_periods"],
        *(customer["periods"] for customer in growth["customer_periods"]),
        strict=True,
    )
    return all(
        abs(sum(parts) - total) < 0.01
        for parts, total in zip(sums, growth["total_periods"], strict=True)
    )

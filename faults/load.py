"""A steady and bounded load of everything that clients do, and how it fared."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date, timedelta
from decimal import Decimal
from itertools import cycle
from time import monotonic
from typing import Any
from uuid import UUID

from app import clock
from faults.client import Client, ClientResponse, ObservedStates, Upload, new_key
from faults.dataset import PRICES, Dataset, SampleInvoice
from faults.request_log import ANNOTATIONS, GROUPS, Kind, RequestLog

_READERS, _PAYERS, _ANNOTATORS, _NOTIFIERS = 2, 2, 2, 1
_READ_PAUSE, _PAY_PAUSE, _ANNOTATE_PAUSE, _NOTIFY_PAUSE = 0.04, 0.4, 0.15, 0.4
"""Seconds that each client rests between two requests."""
_PAGE = 20
_SECOND = 1.0
_RECOVERY_SECONDS = 60.0
_FINISHING_SECONDS = 60.0
_PROOF_BYTES = (2_000, 60_000)


class LoadGenerator:
    """Clients that read, pay, annotate and notify, and enter every answer in `request_log`.

    They call the APIs at `urls` in turn, which may change while they do.
    """

    def __init__(self, urls: Sequence[str], dataset: Dataset) -> None:
        self.dataset = dataset
        self.request_log = RequestLog()
        self.unacknowledged_mails: set[str] = set()
        """Message-IDs of mails whose acceptance the service never heard: these may come twice."""
        self.recovery: float | None = None
        """Seconds from the end of the fault until all went well again."""
        self.fault_ended: float | None = None
        self._client = Client(urls, dataset.headers, self.request_log)
        self._seen = ObservedStates(self.request_log)
        self._stopping = asyncio.Event()
        self._to_pay = iter(dataset.to_pay)
        self._to_notify = iter(dataset.to_notify)
        self._random = random.Random(1)

    @property
    def client(self) -> Client:
        """For what a case asks for beside the load, while it runs."""
        return self._client

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the load up for as long as the context lasts, then see all of it answered."""
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

    async def wait_until_healthy(self) -> None:
        """Wait until all goes well, as it should before a fault."""
        await self._second_of_success(monotonic())

    async def wait_for_recovery(self) -> float:
        """Tell that the fault is over; return how many seconds later all went well again.

        All is well from the start of the first second in which every part of the load succeeds
        and nothing fails.
        """
        self.fault_ended = monotonic()
        self.recovery = await self._second_of_success(self.fault_ended)
        return self.recovery

    async def _second_of_success(self, since: float) -> float:
        async with asyncio.timeout(_RECOVERY_SECONDS):
            while True:
                await asyncio.sleep(0.05)
                start = monotonic() - _SECOND
                if start >= since and self._all_well(start):
                    return start - since

    def _all_well(self, start: float) -> bool:
        succeeded = set()
        for operation in reversed(self.request_log.operations):
            for attempt in operation.attempts:
                if attempt.end >= start:
                    if attempt.status != 200:
                        return False
                    succeeded.add(operation.kind.group)
            if operation.attempts and operation.attempts[-1].end < start - _RECOVERY_SECONDS:
                break
        return succeeded == GROUPS

    async def _rest(self, seconds: float) -> None:
        """Rest a while, or less where the end comes."""
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
            await self._rest(_READ_PAUSE)

    async def read_one(self, kind: Kind) -> None:
        """Read something of a kind, and look whether it is as it must be."""
        uuid = self._random.choice(self.dataset.all).uuid
        match kind:
            case Kind.LIST:
                await self._list()
            case Kind.RETRIEVE:
                await self._retrieve(uuid)
            case Kind.ITEMS:
                await self._look(kind, f"/api/invoices/{uuid}/items/", uuid, check=_check_items)
            case Kind.STATS:
                await self._look(kind, f"/api/invoices/{uuid}/stats/", uuid, check=_check_stats)
            case Kind.GROWTH:
                await self._look(kind, "/api/invoices/growth/", check=_check_growth)

    async def _look(
        self, kind: Kind, path: str, uuid: UUID | None = None, *, check: Callable[[Any], bool]
    ) -> None:
        answer = await self._client.read(kind, path, uuid)
        if answer.attempt.status == 200 and not _holds(answer, check):
            self.request_log.violations.append(
                f"{kind} of {uuid or 'all'} was not what it should be"
            )

    async def _list(self) -> None:
        page = self._random.randint(1, len(self.dataset.all) // _PAGE)
        known = dict(self._seen.ranks)
        path = f"/api/invoices/?page_size={_PAGE}&page={page}"
        answer = await self._client.read(Kind.LIST, path)
        if answer.attempt.status == 200:
            if not _holds(
                answer, lambda listed: all(map(_adds_up, listed)) and len(listed) == _PAGE
            ):
                self.request_log.violations.append(f"page {page} of the list does not add up")
                return
            for invoice in answer.json():
                self._seen.look(invoice, known.get(UUID(invoice["uuid"]), 0))

    async def _retrieve(self, uuid: UUID, **expected: str) -> None:
        known = self._seen.rank(uuid)
        answer = await self._client.read(Kind.RETRIEVE, f"/api/invoices/{uuid}/", uuid)
        if answer.attempt.status != 200:
            return
        if not _holds(answer, _adds_up):
            self.request_log.violations.append(f"invoice {uuid} does not add up")
            return
        invoice = answer.json()
        self._seen.look(invoice, known)
        for name, value in expected.items():
            if invoice[name] != value:
                self.request_log.violations.append(
                    f"invoice {uuid} was read with {name} {invoice[name]!r} after {value!r} was set"
                )

    async def _pay(self) -> None:
        while not self._stopping.is_set() and await self.pay_one():
            await self._rest(_PAY_PAUSE)

    async def pay_one(self) -> bool:
        """Pay the next invoice with a proof; tell whether there was one."""
        subject = next(self._to_pay, None)
        if subject is None:
            return False
        upload = self.proof()
        operation = self.request_log.open(Kind.PAID, subject.uuid, upload.value, new_key())
        answer = await self._client.finish(operation, upload)
        self.check_paid(subject.uuid, answer)
        if answer.attempt.status == 200:
            await self._retrieve(subject.uuid, state="paid")
        return True

    def next_to_pay(self) -> SampleInvoice:
        """Return an invoice that is left to whoever asks for it; raises StopIteration for none."""
        return next(self._to_pay)

    def check_paid(self, uuid: UUID, answer: ClientResponse) -> None:
        """Look at the answer to a payment: from now on the invoice must be seen as paid."""
        if answer.attempt.status == 200:
            if not _holds(answer, lambda paid: _adds_up(paid) and paid["state"] == "paid"):
                self.request_log.violations.append(f"the answer to paid {uuid} is wrong")
            self._seen.ranks[uuid] = 2

    def proof(self) -> Upload:
        """Return a form of `paid` with a proof that no other has."""
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
            if answer.attempt.status == 200 and number % 3 == 0:
                await self._retrieve(subject.uuid, **{field: value})
            await self._rest(_ANNOTATE_PAUSE)

    async def _notify(self) -> None:
        for subject in self._to_notify:
            await self._client.change(Kind.NOTIFY, subject.uuid)
            await self._rest(_NOTIFY_PAUSE)
            if self._stopping.is_set():
                return


def _holds(answer: ClientResponse, check: Callable[[Any], bool]) -> bool:
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

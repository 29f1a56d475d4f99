"""Lines are parsed while others are written: overlapped, bounded, in order, with all errors."""

import asyncio
import io
import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.customers.models import Customer, Project
from app.database.engine import Database
from app.dataio.import_report import RecordsRejected
from app.dataio.jsonl.importer import import_file
from app.dataio.jsonl.prefetch import prefetch
from app.settings import Settings

BATCH = 50
TURN = 16
TIME = "2026-01-01T00:00:00Z"


@dataclass
class Item:
    number: int
    size: int = 100


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.dataio.loader.BATCH_RECORDS", BATCH)
    monkeypatch.setattr("app.dataio.jsonl.prefetch.BATCH_RECORDS", BATCH)


def uuid(of: int) -> str:
    return str(UUID(int=of, version=4))


def customer(of: int) -> str:
    return json.dumps(
        {
            "kind": "customer",
            "uuid": uuid(of),
            "name": f"Customer {of}",
            "accounting_start_date": TIME,
            "created_at": TIME,
        }
    )


def project(of: int, customer: int = 1) -> str:
    return json.dumps(
        {
            "kind": "project",
            "uuid": uuid(10_000 + of),
            "customer": uuid(customer),
            "name": f"Project {of}",
            "created_at": TIME,
        }
    )


async def count(connection: AsyncConnection, table: type[Customer | Project]) -> int:
    rows: int = (await connection.execute(select(func.count()).select_from(table))).scalar_one()
    return rows


class Tap(io.BytesIO):
    """A file that counts the lines that were read from it."""

    lines = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        self.lines += 1
        return super().readline(size)


@pytest.mark.parametrize(("size", "at_most"), [(100, BATCH + TURN), (1024 * 1024, 17)])
async def test_at_most_one_batch_is_prefetched(size: int, at_most: int) -> None:
    made: list[Item] = []

    def endless() -> Iterator[Item]:
        for number in itertools.count():
            made.append(Item(number, size))
            yield made[-1]

    async with prefetch(endless()) as lines:
        for taken in range(3 * BATCH):
            for _ in range(BATCH):
                await asyncio.sleep(0)
            assert at_most - TURN <= len(made) - taken <= at_most
            assert (await anext(lines)).number == taken
    there = len(made)
    for _ in range(BATCH):
        await asyncio.sleep(0)
    assert len(made) == there


async def test_an_error_is_raised_after_the_lines_before_it() -> None:
    def torn() -> Iterator[Item]:
        yield from map(Item, range(2 * BATCH + 3))
        raise EOFError("torn")

    async with prefetch(torn()) as lines:
        for number in range(2 * BATCH + 3):
            assert (await anext(lines)).number == number
        with pytest.raises(EOFError, match="torn"):
            await anext(lines)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_lines_are_read_while_earlier_ones_are_written(
    database: Database,
    settings: Settings,
    connection: AsyncConnection,
    monkeypatch: pytest.MonkeyPatch,
    *,
    cancelled: bool,
) -> None:
    tap = Tap("\n".join(customer(of) for of in range(10 * BATCH)).encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(tap))
    waits = text(
        "SELECT count(*) FROM pg_locks WHERE NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    async with database.transaction() as other:
        await other.execute(text("LOCK TABLE customers IN SHARE MODE"))
        loading = asyncio.create_task(import_file(database, settings, "-"))
        until = time.monotonic() + 60
        # One batch is being written, and waits; the next one is ready, and no more.
        while tap.lines < 2 * BATCH or not (await connection.execute(waits)).scalar_one():
            assert time.monotonic() < until
            assert not loading.done()
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert 2 * BATCH <= tap.lines <= 2 * BATCH + TURN
        if cancelled:
            loading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await loading
    if not cancelled:
        assert (await loading).counts["customer"].created == 10 * BATCH
    assert await count(connection, Customer) == (0 if cancelled else 10 * BATCH)
    # Nothing of a cancelled import stands in the way of the next one.
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(customer(1).encode())))
    again = await import_file(database, settings, "-")
    assert again.counts["customer"].created == (1 if cancelled else 0)


@pytest.mark.parametrize("keep_good", [False, True])
async def test_rejected_lines_are_reported_in_the_order_in_which_they_are_found(
    database: Database,
    settings: Settings,
    connection: AsyncConnection,
    tmp_path: Path,
    *,
    keep_good: bool,
) -> None:
    lines = [customer(1), *(project(of) for of in range(2, 5 * BATCH))]
    lines[20] = project(21, customer=7)  # of the first batch, which is written
    lines[BATCH + 20] = "{"  # of the second, which is parsed meanwhile
    lines[BATCH + 30] = project(2)
    lines[3 * BATCH] = project(3 * BATCH + 1, customer=8)
    file = tmp_path / "file.jsonl"
    file.write_text("\n".join(lines))
    if keep_good:
        report = await import_file(database, settings, str(file), keep_good=True)
    else:
        with pytest.raises(RecordsRejected) as raised:
            await import_file(database, settings, str(file))
        report = raised.value.report
    assert [(fault.line, fault.reason.partition(":")[0]) for fault in report.rejected] == [
        (21, f"there is no customer {uuid(7)}"),
        (BATCH + 21, "Invalid JSON"),
        (BATCH + 31, "line 2 has the same record"),
        (3 * BATCH + 1, f"there is no customer {uuid(8)}"),
    ]
    assert await count(connection, Project) == (5 * BATCH - 6 if keep_good else 0)

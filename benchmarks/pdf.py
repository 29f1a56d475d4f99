"""Measures PDFs: one page each in two processes, and documents of many lines.

`python -m benchmarks.pdf` prints the figures of docs/performance.md. It needs no server.
"""

import asyncio
import os
import time
import tracemalloc
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from app.billing.enums import BillingUnit
from app.documents.document import DocumentKind, DocumentLine, FrozenDocument, Party, parse_lines
from app.documents.pdf.maker import PdfMaker
from app.invoices.queries.documents import BATCH
from benchmarks.console import console

_PAGES = 400
_PARTY = Party(
    name="Example Cloud OÜ",
    address="Pärnu mnt 1",
    postal="10141",
    city="Tallinn",
    country="EE",
    vat_code="EE100000000",
    bank_account="EE38 2200 2210 2014 5685",
)


def _lines(count: int, start: int = 0) -> list[DocumentLine]:
    return [
        DocumentLine(
            uuid=UUID(int=number),
            name=f"Virtual machine {number}",
            unit_price=Decimal("0.0125"),
            quantity=Decimal(744),
            price=Decimal("9.30"),
            unit=BillingUnit.HOUR,
            start=datetime(2026, 10, 1, tzinfo=UTC),
            end=datetime(2026, 10, 31, tzinfo=UTC),
            project_name=f"Project {number % 5}",
        )
        for number in range(start, start + count)
    ]


def _document(number: int, lines: list[DocumentLine]) -> FrozenDocument:
    net = sum((line.price for line in lines), Decimal(0))
    return FrozenDocument(
        kind=DocumentKind.INVOICE,
        uuid=UUID(int=number),
        number=number,
        issue_date=date(2026, 11, 1),
        due_date=date(2026, 12, 1),
        year=2026,
        month=10,
        period_start=date(2026, 10, 1),
        period_end=date(2026, 10, 31),
        currency="EUR",
        tax_percent=Decimal(20),
        net=net,
        gross=round(net * Decimal("1.2"), 2),
        items=len(lines),
        seller=_PARTY,
        buyer=_PARTY,
    )


_dump = TypeAdapter(Any).dump_json


def _status_of_processes() -> list[dict[str, str]]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [
        dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        for pid in children
    ]


def _cpu_of_processes() -> float:
    """Return the seconds of CPU that the child processes have used."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    stats = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in children]
    ticks = sum(int(stat[11]) + int(stat[12]) for stat in stats)
    return ticks / os.sysconf("SC_CLK_TCK")


async def _measure_pages(processes: int) -> None:
    maker = PdfMaker(processes=processes)
    lines = _lines(10)
    stored = _dump(lines)

    async def make(numbers: range) -> None:
        await asyncio.gather(
            *(maker.make(_dump(_document(number, lines)), [stored]) for number in numbers)
        )

    await make(range(1, 1 + processes))
    start, used = time.perf_counter(), _cpu_of_processes()
    await make(range(100, 100 + _PAGES))
    seconds, used = time.perf_counter() - start, _cpu_of_processes() - used
    each = used / _PAGES * 1000
    console.print(f"One page: {_PAGES / seconds:.0f} a second, {each:.1f} ms of CPU each")


async def _measure_lines(count: int) -> None:
    maker = PdfMaker(processes=1)
    await maker.make(_dump(_document(1, _lines(1))), [_dump(_lines(1))])
    lines = _lines(count)
    document, batch = _dump(_document(2, lines)), _dump(lines)
    start = time.perf_counter()
    pdf = await maker.make(document, [batch])
    seconds = time.perf_counter() - start
    peaks = [status["VmHWM"].strip() for status in _status_of_processes()]
    console.print(f"{count} lines: {seconds:.2f} s, {len(pdf)} bytes, memory at most {peaks}")


async def _measure_summary(count: int) -> None:
    """Measure a document that is summed up while its lines are read, in batches."""
    maker = PdfMaker(processes=1)
    document = _document(2, _lines(1))
    document = replace(document, net=document.net * count, items=count)
    peaks = []
    for trace in (False, True):
        if trace:
            tracemalloc.start()
        start = time.perf_counter()
        summary = maker.begin_summary(document)
        for first in range(0, count, BATCH):
            summary.add(parse_lines(_dump(_lines(BATCH, first))))
        await maker.make_summed_up(_dump(document), summary.lines())
        peaks.append(tracemalloc.get_traced_memory()[1] if trace else time.perf_counter() - start)
    tracemalloc.stop()
    seconds, memory = peaks
    child = [status["VmHWM"].strip() for status in _status_of_processes()]
    console.print(
        f"{count} lines, summed up: {seconds:.2f} s,"
        f" {memory / 1024:.0f} kB to read them, memory at most {child}"
    )


def main() -> None:
    """Print the figures. Each size has a new process, so that its memory is its own."""
    asyncio.run(_measure_pages(os.cpu_count() or 1))
    for count in (10, 500, 2_000, 5_000):
        asyncio.run(_measure_lines(count))
    for count in (10_000, 50_000):
        asyncio.run(_measure_summary(count))


if __name__ == "__main__":
    main()

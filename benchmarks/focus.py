"""How fast bills are imported: the whole command, into an empty database, beside another build.

Both builds import the same charges. A build without Parquet imports them as CSV; of a case whose
rows take it minutes, its rate is that of one import of a million rows.
"""

import asyncio
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg  # type: ignore[import-untyped]  # it has no types
import duckdb

from benchmarks.builds import THIS_BUILD, Build
from benchmarks.console import Unusable, progress
from benchmarks.loading import PREFIX, Databases
from benchmarks.results import FocusRound, Subject
from benchmarks.servers import Environment

_TARGET: Final = f"{PREFIX}focus"
_ACCOUNTS: Final = 20
_CURRENCY: Final = "EUR"
_QUICK_PART: Final = 20
"""The quick mode imports one row of so many."""


@dataclass(frozen=True)
class FocusCase:
    """A bill to import."""

    name: str
    title: str
    ending: str
    """Of the file's name: its format."""
    rows: int
    items: int
    slow: str = ""
    """The case whose rate an older build has for this one; empty for its own."""
    again: bool = False
    """Whether the same file is imported a second time, which changes nothing."""


CASES: Final = (
    FocusCase("csv", "CSV, 10,000 items", "csv", 1_000_000, 10_000, again=True),
    FocusCase("gz", "CSV with gzip, 10,000 items", "csv.gz", 1_000_000, 10_000, "csv"),
    FocusCase("parquet", "Parquet, 10,000 items", "parquet", 1_000_000, 10_000, "csv"),
    FocusCase("items", "CSV, 63,000 items", "csv", 100_000, 63_000),
)
LARGE: Final = FocusCase("large", "Parquet, 20,000 items", "parquet", 10_000_000, 20_000, "csv")
"""Measured on request only: its file takes half a gigabyte."""


async def measure(
    databases: Databases,
    environment: Environment,
    rounds: int,
    baseline: Build | None,
    *,
    quick: bool,
    large: bool,
) -> list[FocusRound]:
    """Import the bill of each case in rounds; the other build imports a million rows once."""
    measured: list[FocusRound] = []
    for case in (*CASES, *((LARGE,) if large else ())):
        part = _QUICK_PART if quick else 1
        path = environment.place / f"costs.{case.ending}"
        rows, items = case.rows // part, case.items // part
        progress(f"  a bill of {rows:,} rows that come to {items:,} items, as {case.ending}")
        try:
            await asyncio.to_thread(write_bill, path, rows, items)
            bill = _Bill(case, path, rows, items)
            for number in range(rounds):
                progress(f"  round {number + 1} of {rounds}")
                measured += await _import(databases, environment, bill, number, THIS_BUILD)
                is_once = case.again and number > 0
                if baseline is not None and not case.slow and not is_once:
                    measured += await _import(databases, environment, bill, number, baseline)
        finally:
            path.unlink(missing_ok=True)
    return measured


@dataclass(frozen=True)
class _Bill:
    case: FocusCase
    path: Path
    rows: int
    items: int


async def _import(
    databases: Databases, environment: Environment, bill: _Bill, number: int, build: Build
) -> list[FocusRound]:
    """Import a bill into an empty database, and a second time if its case asks for it."""
    subject = Subject.BASELINE if build.commit else Subject.SERVICE
    url = await databases.make_empty(_TARGET, build)
    settings = environment.settings(url, CURRENCY=_CURRENCY)
    names = [bill.case.name]
    if bill.case.again and subject is Subject.SERVICE:
        names.append(f"{bill.case.name}-again")
    try:
        found = []
        for name in names:
            seconds, peak = await asyncio.to_thread(_run, bill.path, settings, build)
            found.append(FocusRound(subject, name, number, bill.rows, seconds, peak))
        if subject is Subject.SERVICE:  # an older build may add an item to an invoice
            await _require(url, bill.items)
    finally:
        await databases.drop(_TARGET)
    return found


def _run(path: Path, settings: dict[str, str], build: Build) -> tuple[float, int]:
    """Return the seconds and the peak memory in bytes of the whole command."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(build.python), "-m", "app", "import", "--format", "focus", str(path)],
        cwd=build.code,
        env=os.environ | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Unusable(f"The import of {path.name} failed.")
    return seconds, usage.ru_maxrss * 1024


async def _require(url: str, items: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetchval("SELECT count(*) FROM invoice_items")
    finally:
        await connection.close()
    if found != items:
        raise Unusable(f"The import left {found:,} items instead of {items:,}.")


def write_bill(path: Path, rows: int, items: int) -> None:
    """Write a bill of September 2026, as large clouds export it: 34 columns, hourly charges.

    Amounts are decimals with 11 digits in CSV, and DOUBLE in Parquet; so are the times there of
    their own type.
    """
    columns = ", ".join(f'{value} AS "{title}"' for title, value in _COLUMNS)
    numbers = f"SELECT r * 7919 % {items} AS i, r FROM range({rows}) AS t(r)"
    statement = f"SELECT {columns} FROM ({numbers})"
    if path.suffix == ".parquet":
        statement = f"SELECT * REPLACE ({_PARQUET_TYPES}) FROM ({statement})"
        options = "FORMAT parquet"
    else:
        compression = "gzip" if path.suffix == ".gz" else "none"
        options = f"FORMAT csv, HEADER, NULLSTR 'NULL', COMPRESSION {compression}"
    connection = duckdb.connect(config={"memory_limit": "1GB", "threads": 2})
    try:
        connection.execute(f"COPY ({statement}) TO '{path}' ({options})")
    finally:
        connection.close()


_START = "TIMESTAMP '2026-09-01' + to_hours(CAST(r * 31 % 720 AS INTEGER))"
_COST = "format('0.{:011d}', r * 48271 % 1000000007)"
_QUANTITY = "format('{}.{:06d}000000000', r % 1000, r * 69621 % 1000003)"
_COLUMNS: Final[Sequence[tuple[str, str]]] = (
    ("AvailabilityZone", "NULL"),
    ("BilledCost", _COST),
    ("BillingAccountId", f"CAST(1234567890000 + i % {_ACCOUNTS} AS VARCHAR)"),
    ("BillingAccountName", f"'Account ' || i % {_ACCOUNTS}"),
    ("BillingCurrency", f"'{_CURRENCY}'"),
    ("BillingPeriodEnd", "'2026-10-01 00:00:00'"),
    ("BillingPeriodStart", "'2026-09-01 00:00:00'"),
    ("ChargeCategory", "'Usage'"),
    ("ChargeClass", "NULL"),
    ("ChargeDescription", "format('$0.{:03d} per hour of a machine, on demand', i % 60)"),
    ("ChargeFrequency", "'Usage-Based'"),
    ("ChargePeriodEnd", f"strftime({_START} + INTERVAL 1 HOUR, '%Y-%m-%d %H:%M:%S')"),
    ("ChargePeriodStart", f"strftime({_START}, '%Y-%m-%d %H:%M:%S')"),
    ("ConsumedQuantity", _QUANTITY),
    ("ConsumedUnit", "'Hours'"),
    ("ContractedCost", _COST),
    ("EffectiveCost", _COST),
    ("InvoiceIssuerName", "'Cloud Services, Inc.'"),
    ("ListCost", _COST),
    ("ListUnitPrice", "format('0.{:03d}', i % 60)"),
    ("PricingQuantity", _QUANTITY),
    ("PricingUnit", "'Hours'"),
    ("ProviderName", "'Cloud'"),
    ("PublisherName", "'Cloud Services, Inc.'"),
    ("RegionId", "'eu-north-2'"),
    ("RegionName", "'Europe (Tartu)'"),
    ("ResourceId", "format('arn:cloud:compute:eu-north-2:{}:machine/m-{:09d}', i % 40, i)"),
    ("ResourceName", "NULL"),
    ("ServiceCategory", "'Compute'"),
    ("ServiceName", "'Service ' || i % 12"),
    ("SkuId", "format('SKU{:08d}', i % 12)"),
    ("SubAccountId", "CAST(517389000 + i % 800 AS VARCHAR)"),
    ("SubAccountName", "'Team ' || i % 800"),
    ("Tags", """'{"application": "Shop ' || i % 40 || '", "environment": "dev"}'"""),
)
_PARQUET_TYPES: Final = ", ".join(
    f"CAST({title} AS {kind}) AS {title}"
    for title, kind in (
        *((name, "DOUBLE") for name in ("BilledCost", "PricingQuantity", "ConsumedQuantity")),
        *(
            (f"{of}Period{end}", "TIMESTAMP")
            for of in ("Billing", "Charge")
            for end in ("Start", "End")
        ),
    )
)

"""The close of a month: many invoices that are issued, alone and within the whole job."""

import time
from collections.abc import Mapping
from typing import Final

import asyncpg  # type: ignore[import-untyped]  # it has no types

from benchmarks.builds import THIS_BUILD, Build
from benchmarks.console import Unusable, progress
from benchmarks.loading import PREFIX, Databases, run_app
from benchmarks.results import Phase, Sample, Series, Subject
from benchmarks.servers import Environment

INVOICES: Final = 20_000
QUICK_INVOICES: Final = 2_000
ISSUE_CASE: Final = "close-issue"
JOB_CASE: Final = "close-job"
TITLES: Final = {
    ISSUE_CASE: "invoices issued by `job close_month`, without the start of the process",
    JOB_CASE: "invoices of `job close_month` as a whole, which opens as many",
}
_ITEMS: Final = 5
_TARGET: Final = f"{PREFIX}close"

# Archived customers get no further invoices.
_CUSTOMERS: Final = """
INSERT INTO customers (uuid, name, email, country, vat_code, default_tax_percent,
                       accounting_start_date, archived, created_at)
SELECT gen_random_uuid(), 'Customer ' || n, 'billing' || n || '@example.com', 'EE',
       'EE' || 100000000 + n, 24, '2020-01-01', true, '2020-01-01'
FROM generate_series(1, $1::integer) AS n
"""
_PENDING: Final = """
INSERT INTO invoices (uuid, customer_id, year, month, tax_percent, created)
SELECT gen_random_uuid(), id, 2020, 1, 24, '2020-01-01' FROM customers ORDER BY id
"""
_CHARGES: Final = """
INSERT INTO invoice_items (uuid, invoice_id, name, unit_price, quantity, unit, start, "end",
                           project_name, details)
SELECT gen_random_uuid(), id, 'Processor cores ' || n, 0.0125 * n, 744, 'quantity',
       '2020-01-01', '2020-01-31 23:59:59.999999', 'Project', '{"plan_name": "Standard"}'
FROM invoices, generate_series(1, $1::integer) AS n ORDER BY id, n
"""


async def measure(
    databases: Databases,
    environment: Environment,
    invoices: int,
    rounds: int,
    baseline: Build | None,
) -> Mapping[Series, list[Sample]]:
    """Time the close by this build and, beside it, by another, in turn."""
    builds = {Subject.SERVICE: THIS_BUILD}
    if baseline is not None:
        builds[Subject.BASELINE] = baseline
    for subject, build in builds.items():
        await _make(databases, _template(subject), build, invoices)
    measured: dict[Series, list[Sample]] = {}
    try:
        for number in range(rounds):
            progress(f"  round {number + 1} of {rounds}: {invoices:,} invoices by the close")
            sides = list(builds.items())
            for subject, build in sides if number % 2 == 0 else reversed(sides):
                seconds = {
                    ISSUE_CASE: await _time_issue(
                        databases, environment, _template(subject), build, invoices
                    ),
                    JOB_CASE: await _time_job(
                        databases, environment, _template(subject), build, invoices
                    ),
                }
                for case, taken in seconds.items():
                    series = Series(Phase.CLOSE, case, subject, invoices, 1)
                    sample = Sample(number, invoices, taken, invoices / taken, 0, 0)
                    measured.setdefault(series, []).append(sample)
    finally:
        for subject in builds:
            await databases.drop(_template(subject))
        await databases.drop(_TARGET)
    return measured


def _template(subject: Subject) -> str:
    return f"{_TARGET}_{subject}"


async def _make(databases: Databases, name: str, build: Build, invoices: int) -> None:
    """Make a database of invoices to issue, with the tables of a build."""
    url = await databases.make_empty(name, build)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_CUSTOMERS, invoices)
        await connection.execute(_PENDING)
        await connection.execute(_CHARGES, _ITEMS)
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()


async def _time_issue(
    databases: Databases, environment: Environment, template: str, build: Build, invoices: int
) -> float:
    """Return the seconds of a run that only issues, less those of one that finds nothing."""
    url = await databases.clone(template, _TARGET)
    first = await _time(environment, url, build)
    await _require(url, created=invoices)
    return first - await _time(environment, url, build)


async def _time_job(
    databases: Databases, environment: Environment, template: str, build: Build, invoices: int
) -> float:
    """Return the seconds of the whole command, with the invoices of the running month."""
    url = await databases.clone(template, _TARGET)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("UPDATE customers SET archived = false")
        await connection.execute("VACUUM (ANALYZE) customers")
    finally:
        await connection.close()
    seconds = await _time(environment, url, build)
    await _require(url, created=invoices, pending=invoices)
    return seconds


async def _time(environment: Environment, url: str, build: Build) -> float:
    start = time.perf_counter()
    settings = environment.settings(url)
    await run_app("job", "close_month", settings=settings, build=build)
    return time.perf_counter() - start


async def _require(url: str, **expected: int) -> None:
    """Raise Unusable unless there are so many invoices of each state, all in the record."""
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetch("SELECT state, count(*) FROM invoices GROUP BY state")
        sealed = await connection.fetchval("SELECT count(*) FROM invoices WHERE history_count > 0")
    finally:
        await connection.close()
    if dict(found) != expected or sealed != sum(expected.values()):
        raise Unusable(f"The close left {dict(found)}, of which {sealed} are in the record.")

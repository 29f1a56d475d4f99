"""The phases of a run; each adds its measurements to the result."""

import json
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Final

import asyncpg  # type: ignore[import-untyped]  # it has no types

from app.billing.periods import Period
from benchmarks import closing, deliveries, focus, importing, plain_check, streaming
from benchmarks.builds import THIS_BUILD, Build
from benchmarks.cases import (
    Case,
    Request,
    Subjects,
    conditional_cases,
    crediting_case,
    find_subjects,
    reading_cases,
    record,
    writing_case,
)
from benchmarks.console import progress
from benchmarks.loading import Databases, footprint, run_app
from benchmarks.measuring import Pace, Run, alternate
from benchmarks.results import Memory, Phase, Result, Series, Subject
from benchmarks.servers import Environment, Server
from benchmarks.shape import Shape

CONNECTIONS: Final = 16
QUICK_CASES: Final = frozenset(
    {
        "list", "list-fields", "retrieve-20", "retrieve-500", "stats-500", "growth", "head-staff",
        "head-owner", "payments", "payments-profile", "invoice-items-customer", "project-costs",
        "financial-reports", "304-list", "304-retrieve-20",
        "304-items-20", "304-stats-500",
    }
)  # fmt: skip
"""The cases of the quick mode: those with targets."""
SIZE_CASES: Final = (
    "list", "list-fields", "list-customer", "list-state", "list-min-sum", "list-page-100",
    "list-last", "retrieve-20", "growth", "head-staff", "head-owner", "payments",
    "payments-profile", "payments-last", "invoice-items", "invoice-items-customer", "project-costs",
    "financial-reports",
)  # fmt: skip
"""Cases that are measured at every size."""
PROCESS_CASES: Final = ("list", "list-fields", "retrieve-20")
"""Cases that are measured with two processes."""
_LONGEST_AT_A_SIZE = 4
_ROUNDS_ALONE = 3
"""Rounds with one connection."""


@dataclass(frozen=True)
class Made:
    """A database of one size, and the subjects of the cases in it."""

    shape: Shape
    url: str
    subjects: Subjects


@dataclass(frozen=True)
class Bench:
    """The parts that every phase uses."""

    databases: Databases
    environment: Environment
    made: Sequence[Made]
    running: Period
    pace: Pace
    quick: bool
    result: Result
    baseline: Build | None
    """The build of another commit, to be measured beside this one."""
    large: bool = False
    """Whether the largest bill is imported, too."""

    @property
    def records(self) -> Shape:
        """The data set that is exported and imported."""
        return importing.SHAPE if self.quick else importing.LARGE_SHAPE

    @property
    def smallest(self) -> Made:
        """The database that the references are measured on."""
        return self.made[0]


async def make(
    databases: Databases, environment: Environment, sizes: Iterable[int], result: Result
) -> list[Made]:
    """Create missing databases, smallest first, and run the jobs that bring them up to date."""
    made = []
    for size in sizes:
        shape = Shape(size)
        url = await prepare(databases, environment, shape)
        connection = await asyncpg.connect(url)
        try:
            result.footprints[size] = await footprint(connection)
        finally:
            await connection.close()
        made.append(Made(shape, url, await find_subjects(url, shape)))
    return made


async def prepare(databases: Databases, environment: Environment, shape: Shape) -> str:
    """Return the URL of a database, made if it is missing, whose jobs have run."""
    url = await databases.make(shape)
    for job in ("freeze_issued", "represent_issued"):
        await run_app("job", job, settings=environment.settings(url))
    await finish(environment, url)
    return url


async def finish(environment: Environment, url: str, build: Build = THIS_BUILD) -> None:
    """Run the jobs that keep the summaries of a database up to date."""
    for job in ("bring_year_forward", "merge_tallies"):
        await run_app("job", job, settings=environment.settings(url), build=build)


async def references(bench: Bench) -> None:
    """Measure each case and, in turn with it, its references."""
    made = bench.smallest
    async with bench.environment.service(made.url) as service:
        reading, writing = await _cases(bench, service)
        answers = await record(service.url, [*reading, *writing])
        file = bench.environment.place / "answers.json"
        file.write_text(json.dumps({name: one.as_json() for name, one in answers.items()}))
        async with bench.environment.references(made.url, file) as beside:
            await plain_check.compare(beside.url, reading, answers)
            # The writing cases are last, because they may change the responses of the others.
            for cases in (reading, writing):
                await _with_references(bench, cases, service, beside)
        _remember_memory(bench, Phase.REFERENCES, service)


async def _with_references(
    bench: Bench, cases: Sequence[Case], service: Server, beside: Server
) -> None:
    if not cases:
        return
    progress(f"{len(cases)} cases beside their references, {CONNECTIONS} connections.")
    runs = _runs(bench, cases, service, beside, CONNECTIONS)
    bench.result.add(await alternate(runs, bench.pace, bench.databases))
    if not bench.quick:
        progress("The same with one connection.")
        pace = Pace(min(_ROUNDS_ALONE, bench.pace.rounds), seconds=1, longest=3)
        alone = _runs(bench, cases, service, beside, 1)
        bench.result.add(await alternate(alone, pace, bench.databases))


async def sizes(bench: Bench) -> None:
    """Measure the cases whose cost may depend on it in databases of every size, in turn."""
    progress("Cost against size.")
    async with AsyncExitStack() as stack:
        services = [
            (made, await stack.enter_async_context(bench.environment.service(made.url)))
            for made in bench.made
        ]
        runs = []
        for name in SIZE_CASES:
            for made, service in services:
                case = _reading(bench, made, name)
                series = Series(
                    Phase.SIZES, name, Subject.SERVICE, made.shape.invoices, CONNECTIONS
                )
                runs.append(Run(series, service, case.requests))
        # With a slow case at each size the rounds would else take very long.
        pace = replace(bench.pace, longest=max(bench.pace.seconds, _LONGEST_AT_A_SIZE))
        bench.result.add(await alternate(runs, pace, bench.databases))
        for _, service in services:
            _remember_memory(bench, Phase.SIZES, service)


async def processes(bench: Bench) -> None:
    """Measure one serving process and two, in turn."""
    progress("Two processes beside one.")
    made = bench.smallest
    async with (
        bench.environment.service(made.url) as one,
        bench.environment.service(made.url, workers=2) as two,
    ):
        runs = []
        for name in PROCESS_CASES:
            case = _reading(bench, made, name)
            for number, service in ((1, one), (2, two)):
                series = Series(
                    Phase.PROCESSES,
                    name,
                    Subject.SERVICE,
                    made.shape.invoices,
                    CONNECTIONS,
                    number,
                )
                runs.append(Run(series, service, case.requests))
        bench.result.add(await alternate(runs, bench.pace, bench.databases))
        for service in (one, two):
            _remember_memory(bench, Phase.PROCESSES, service)


async def streams(bench: Bench) -> None:
    """Read the largest answers."""
    made = bench.smallest
    progress(f"{made.shape.huge:,} items, read fast and slowly.")
    found = await streaming.measure(bench.environment, made.url, made.subjects)
    bench.result.streams += found
    bench.result.memory += [Memory(Phase.STREAMS, stream.memory_peak) for stream in found]


async def import_(bench: Bench) -> None:
    """Measure the import."""
    progress("Import of JSON Lines beside a raw COPY.")
    rounds = min(bench.pace.rounds, 3)
    bench.result.imports += await importing.measure(
        bench.databases, bench.environment, bench.records, rounds
    )


async def deliver(bench: Bench) -> None:
    """Measure the worker."""
    progress(f"{deliveries.MESSAGES} notifications by the worker.")
    bench.result.deliveries += await deliveries.measure(
        bench.databases, bench.environment, bench.pace.rounds, bench.baseline
    )


async def import_bills(bench: Bench) -> None:
    """Measure the import of bills."""
    progress("Import of bills (FOCUS).")
    bench.result.focus += await focus.measure(
        bench.databases,
        bench.environment,
        1 if bench.quick else bench.pace.rounds,
        bench.baseline,
        quick=bench.quick,
        large=bench.large,
    )


async def close(bench: Bench) -> None:
    """Measure the close of a month."""
    invoices = closing.QUICK_INVOICES if bench.quick else closing.INVOICES
    progress(f"The close of a month with {invoices:,} invoices.")
    bench.result.titles |= closing.TITLES
    bench.result.add(
        await closing.measure(
            bench.databases, bench.environment, invoices, bench.pace.rounds, bench.baseline
        )
    )


PHASES: Final = {
    Phase.REFERENCES: references,
    Phase.SIZES: sizes,
    Phase.PROCESSES: processes,
    Phase.STREAMS: streams,
    Phase.IMPORT: import_,
    Phase.DELIVERIES: deliver,
    Phase.FOCUS: import_bills,
    Phase.CLOSE: close,
}


async def _cases(bench: Bench, service: Server) -> tuple[list[Case], list[Case]]:
    """Return the cases to measure: those that read, and those that write."""
    subjects = bench.smallest.subjects
    reading = [
        *reading_cases(subjects, bench.running),
        *(await conditional_cases(service.url, subjects)),
    ]
    writing = [] if bench.quick else [writing_case(subjects), crediting_case(subjects)]
    if bench.quick:
        reading = [case for case in reading if case.name in QUICK_CASES]
    else:
        # The others are measured at every size, where they are compared with themselves.
        only_sized = set(SIZE_CASES) - QUICK_CASES
        reading = [case for case in reading if case.name not in only_sized]
    bench.result.titles |= {case.name: case.title for case in (*reading, *writing)}
    bench.result.missing |= {case.name: case.missing for case in reading if case.missing}
    return [case for case in reading if not case.missing], writing


def _runs(
    bench: Bench, cases: Sequence[Case], service: Server, beside: Server, connections: int
) -> list[Run]:
    size = bench.smallest.shape.invoices
    runs = []
    for case in cases:

        def series(subject: Subject, name: str = case.name) -> Series:
            return Series(Phase.REFERENCES, name, subject, size, connections)

        request = case.requests[0]
        runs.append(Run(series(Subject.SERVICE), service, case.requests, case.status))
        if case.referred:
            for subject in (Subject.ONE_QUERY, Subject.CEILING):
                if subject is Subject.CEILING and (bench.quick or connections == 1):
                    continue
                path = f"/bench/{subject}/{case.name}/"
                requests = [Request(path, request.method, request.headers, request.body)]
                runs.append(Run(series(subject), beside, requests, case.status))
        if case.plain and connections > 1:
            runs.append(Run(series(Subject.PLAIN), beside, [Request(case.plain)]))
    return runs


def _reading(bench: Bench, made: Made, name: str) -> Case:
    cases = reading_cases(made.subjects, bench.running)
    case = next(case for case in cases if case.name == name)
    bench.result.titles[name] = case.title
    return case


def _remember_memory(bench: Bench, phase: Phase, server: Server) -> None:
    bench.result.memory += [Memory(phase, peak) for peak in server.peak_memory()]

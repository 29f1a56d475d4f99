"""The service beside the build of another commit: the same cases on the same data, in turn."""

import json
from collections.abc import Sequence

import httpx

from benchmarks import importing
from benchmarks.builds import THIS_BUILD, Build
from benchmarks.cases import Case, conditional_cases, reading_cases, record, writing_case
from benchmarks.console import progress
from benchmarks.measuring import Run, alternate
from benchmarks.phases import CONNECTIONS, QUICK_CASES, Bench
from benchmarks.results import Phase, Sample, Series, Subject
from benchmarks.servers import Server

IMPORT_CASE = "import"
_SUBJECTS = (Subject.SERVICE, Subject.BASELINE)


async def measure(bench: Bench) -> None:
    """Measure the central cases and the import with both builds, round by round."""
    made, baseline = bench.smallest, bench.baseline
    assert baseline is not None
    async with (
        bench.environment.service(made.url) as service,
        bench.environment.service(made.url, build=baseline) as other,
    ):
        both = zip(await _cases(bench, service), await _cases(bench, other), strict=True)
        pairs = [pair for pair in both if await _is_served(other, pair[1])]
        progress(f"{len(pairs)} cases beside {baseline.commit}, {CONNECTIONS} connections.")
        await _compare(service, other, pairs)
        runs = []
        for pair in pairs:
            bench.result.titles[pair[0].name] = pair[0].title
            for subject, server, case in zip(_SUBJECTS, (service, other), pair, strict=True):
                series = Series(
                    Phase.BASELINE, case.name, subject, made.shape.invoices, CONNECTIONS
                )
                runs.append(Run(series, server, case.requests, case.status))
        bench.result.add(await alternate(runs, bench.pace, bench.databases))
    await _import(bench, baseline)


async def _cases(bench: Bench, server: Server) -> list[Case]:
    """Return the central cases; entity tags are those of the server's own build."""
    subjects = bench.smallest.subjects
    cases = [
        *reading_cases(subjects, bench.running),
        *(await conditional_cases(server.url, subjects)),
    ]
    # The writing case is last, because it changes the responses of the others.
    return [case for case in cases if case.name in QUICK_CASES] + [writing_case(subjects)]


async def _is_served(server: Server, case: Case) -> bool:
    """Return whether a build has the operation of a case; an older one may lack it."""
    if case.requests[0].method != "GET":
        return True
    async with httpx.AsyncClient(base_url=server.url) as client:
        request = case.requests[0]
        response = await client.get(request.path, headers=dict(request.headers))
    return response.status_code != 404


async def _compare(service: Server, other: Server, pairs: Sequence[tuple[Case, Case]]) -> None:
    """Report cases to which the two builds respond differently: their rates do not compare."""
    reading = pairs[:-1]
    ours = await record(service.url, [case for case, _ in reading])
    theirs = await record(other.url, [case for _, case in reading])
    for name, response in ours.items():
        bodies = [each.body and json.loads(each.body) for each in (response, theirs[name])]
        if bodies[0] != bodies[1]:
            progress(f"  {name}: the two builds respond differently")


async def _import(bench: Bench, baseline: Build) -> None:
    """Import the same rows with both builds, each from its own export into its own tables."""
    databases, environment = bench.databases, bench.environment
    bench.result.titles[IMPORT_CASE] = "import of JSON Lines, rows"
    samples: dict[Subject, list[Sample]] = {subject: [] for subject in _SUBJECTS}
    sources = [
        await importing.export(databases, environment, build) for build in (THIS_BUILD, baseline)
    ]
    pairs = list(zip(_SUBJECTS, sources, strict=True))
    for number in range(bench.pace.rounds):
        progress(f"  round {number + 1} of {bench.pace.rounds}: {sources[0].rows:,} rows by import")
        for subject, source in pairs if number % 2 == 0 else reversed(pairs):
            seconds = await importing.time_import(databases, environment, source)
            rate = source.rows / seconds
            samples[subject].append(Sample(number, source.rows, seconds, rate, 0, 0))
    size = importing.SHAPE.invoices
    bench.result.add(
        {
            Series(Phase.BASELINE, IMPORT_CASE, subject, size, 1): found
            for subject, found in samples.items()
        }
    )

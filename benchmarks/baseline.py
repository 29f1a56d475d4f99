"""The service beside the build of another commit: the same cases on the same data, in turn."""

import json
from collections.abc import Sequence
from typing import Final

import httpx

from benchmarks import importing
from benchmarks.builds import THIS_BUILD, Build
from benchmarks.cases import Case, conditional_cases, reading_cases, record, writing_case
from benchmarks.console import progress
from benchmarks.measuring import Run, alternate
from benchmarks.phases import CONNECTIONS, QUICK_CASES, Bench
from benchmarks.results import Phase, Sample, Series, Subject
from benchmarks.servers import Server

_DATA_CASES: Final = (
    ("export", "export of JSON Lines, rows", importing.time_export),
    ("import", "import of JSON Lines, rows", importing.time_import),
)
_SUBJECTS = (Subject.SERVICE, Subject.BASELINE)


async def measure(bench: Bench) -> None:
    """Measure the central cases, the export and the import with both builds, round by round."""
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
    await _data(bench, baseline)


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


async def _data(bench: Bench, baseline: Build) -> None:
    """Export and import the same rows with both builds, each from and into its own tables."""
    databases, environment = bench.databases, bench.environment
    sources = [
        await importing.export(databases, environment, bench.records, build)
        for build in (THIS_BUILD, baseline)
    ]
    pairs = list(zip(_SUBJECTS, sources, strict=True))
    samples: dict[Series, list[Sample]] = {}
    for number in range(bench.pace.rounds):
        progress(f"  round {number + 1} of {bench.pace.rounds}: {sources[0].rows:,} rows")
        for case, title, measure_seconds in _DATA_CASES:
            bench.result.titles[case] = title
            for subject, source in pairs if number % 2 == 0 else reversed(pairs):
                seconds = await measure_seconds(databases, environment, source)
                sample = Sample(number, source.rows, seconds, source.rows / seconds, 0, 0)
                series = Series(Phase.BASELINE, case, subject, bench.records.invoices, 1)
                samples.setdefault(series, []).append(sample)
    bench.result.add(samples)

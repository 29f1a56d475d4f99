"""Reads of issued invoices with nothing kept in memory: so many, or so rarely, that none is cached.

They are measured beside `one-query` and beside another build, which has a database of its own with
the same data, since its tables are those of its own migrations.
"""

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Final

from benchmarks.cases import RENAMED_CASE, Case, Request, cold_cases, record
from benchmarks.console import progress
from benchmarks.measuring import Run, alternate
from benchmarks.phases import CONNECTIONS, Bench, finish
from benchmarks.renaming import renames
from benchmarks.results import Phase, Series, Subject
from benchmarks.servers import Server

_NOTHING_KEPT: Final = {"DOCUMENT_CACHE_BYTES": "1"}
"""Every response is larger than this cache."""
_RECORDED: Final = 300
"""Responses of a case that `one-query` sends in turn."""


async def measure(bench: Bench) -> None:
    """Measure the reads, and in turn with each its references."""
    made, environment = bench.smallest, bench.environment
    cases = cold_cases(made.subjects)
    progress(f"{len(cases)} cases with nothing kept in memory, {CONNECTIONS} connections.")
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            environment.service(made.url, settings=_NOTHING_KEPT)
        )
        # Lists have responses of different sizes, so the reference sends all of them.
        single = [part for case in cases for part in _parts(case)]
        file = environment.place / "cold-answers.json"
        answers = await record(service.url, single)
        file.write_text(json.dumps({name: one.as_json() for name, one in answers.items()}))
        beside = await stack.enter_async_context(environment.references(made.url, file))
        file.unlink()
        servers = {Subject.SERVICE: (service, made.url), Subject.ONE_QUERY: (beside, made.url)}
        if build := bench.baseline:
            url = await bench.databases.make(made.shape, build)
            await finish(environment, url, build)
            other = await stack.enter_async_context(
                environment.service(url, settings=_NOTHING_KEPT, build=build)
            )
            servers[Subject.BASELINE] = (other, url)
        runs = []
        for case in cases:
            bench.result.titles[case.name] = case.title
            for subject, (server, url) in servers.items():
                runs.append(_run(bench, case, subject, server, url))
        bench.result.add(await alternate(runs, bench.pace, bench.databases))


def _parts(case: Case) -> list[Case]:
    """Return the requests of a case that `one-query` knows, each as a case of its own."""
    return [
        replace(case, name=f"{case.name}-{number}", requests=[request])
        for number, request in enumerate(case.requests[:_RECORDED])
    ]


def _run(bench: Bench, case: Case, subject: Subject, server: Server, url: str) -> Run:
    shape = bench.smallest.shape
    requests: Sequence[Request] = case.requests
    if subject is Subject.ONE_QUERY:
        requests = [Request(f"/bench/one-query/{part.name}/") for part in _parts(case)]
    series = Series(Phase.COLD, case.name, subject, shape.invoices, CONNECTIONS)
    if case.name == RENAMED_CASE:
        return Run(series, server, requests, meanwhile=partial(renames, url, shape))
    return Run(series, server, requests)

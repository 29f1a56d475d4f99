"""Rounds: series that are compared run in turn, so that noise of the machine affects all alike."""

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

from benchmarks.cases import Request
from benchmarks.console import progress
from benchmarks.loading import Databases
from benchmarks.results import Sample, Series
from benchmarks.servers import Server
from benchmarks.wrk import LoadFailed, Summary, check, generate

_REQUESTS_EACH = 8
"""Requests of a connection in a round; with fewer, those in flight at its end distort the rate."""
_SETTLE_SECONDS = 120
_PATIENCE_SECONDS = 32


@dataclass(frozen=True)
class Run:
    """A series, and the server and requests that it is measured with."""

    series: Series
    server: Server
    requests: Sequence[Request]
    status: int = 200
    meanwhile: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    """Makes what goes on in the database at the same time."""


@dataclass(frozen=True)
class Pace:
    """How long everything is measured."""

    rounds: int
    seconds: int
    """Of each run of each round."""
    longest: int
    """The seconds are extended up to this for slow responses."""


async def alternate(
    runs: Sequence[Run], pace: Pace, databases: Databases
) -> dict[Series, list[Sample]]:
    """Measure the runs in turn, round by round, after a first go that does not count.

    Raises LoadFailed where an answer was not as expected.
    """
    seconds = {}
    for run in runs:
        first, needed = await _measure(run, 1, databases)
        seconds[run.series] = max(needed, _seconds(first, run, pace))
    measured: dict[Series, list[Sample]] = {run.series: [] for run in runs}
    for number in range(pace.rounds):
        progress(f"  round {number + 1} of {pace.rounds}: {sum(seconds.values())} s")
        # Back and forth: none always comes after the same other.
        for run in runs if number % 2 == 0 else reversed(runs):
            summary, _ = await _measure(run, seconds[run.series], databases)
            measured[run.series].append(
                Sample(
                    number,
                    summary.requests,
                    summary.seconds,
                    summary.rate,
                    summary.p50_ms,
                    summary.p99_ms,
                )
            )
    return measured


def _seconds(first: Summary, run: Run, pace: Pace) -> int:
    wanted = math.ceil(_REQUESTS_EACH * run.series.connections / max(first.rate, 0.1))
    return max(pace.seconds, min(wanted, pace.longest))


async def _measure(run: Run, seconds: int, databases: Databases) -> tuple[Summary, int]:
    """Return the summary of a run and its seconds, extended until there is a response.

    Raises LoadFailed if there is none even then.
    """
    name = f"{run.series.case} of {run.series.subject} at {run.series.size:,} invoices"
    while seconds <= _PATIENCE_SECONDS:
        summary = await _load(run, seconds, databases)
        check(summary, run.status, name)
        if summary.requests:
            return summary, seconds
        seconds *= 2
    raise LoadFailed(f"{name}: nothing was answered in time.")


async def _load(run: Run, seconds: int, databases: Databases) -> Summary:
    async with run.meanwhile():
        summary = await generate(
            run.server.url, run.requests, run.status, run.series.connections, seconds
        )
    # Requests that the load generator left in flight must not slow down the next run.
    async with asyncio.timeout(_SETTLE_SECONDS):
        while await run.server.busy() or await databases.busy():
            pass
    return summary

"""Measures a failover: when a new connection can write again, and when the service last failed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from time import monotonic
from typing import Final, Self

import asyncpg  # type: ignore[import-untyped]  # it has no types

from faults.request_log import RequestLog
from tests.support.worker import until

_INTERVAL: Final = 0.1
_TIMEOUT: Final = 1.0
# A record of the log: it needs a primary, and its commit waits for the synchronous standby.
_WRITE: Final = "SELECT pg_logical_emit_message(true, 'probe', '')"
_ERRORS: Final = (  # OSError includes a timeout
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
_ALLOWED: Final = 1.0
"""Seconds for which the service may answer 503 after a new connection can write."""


@dataclass(frozen=True)
class FailoverTimes:
    """The duration of a failover, and of its effect. Both count from the last write before it."""

    seconds: float
    """Until a new connection could write."""
    unavailable: float
    """Until the last response of the service that was no success; 0 without any."""


class WriteProber:
    """Tries to write by a new connection, ten times a second, apart from the service.

    It goes each way by which a client may reach the primary.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self.writes: list[tuple[float, float]] = []
        """Begin and end of each attempt that wrote."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Probe for the length of the context."""
        async with asyncio.TaskGroup() as tasks:
            probes = [tasks.create_task(self._probe(url)) for url in self._urls]
            yield self
            for probe in probes:
                probe.cancel()

    async def wait_for_write(self) -> None:
        """Wait until an attempt writes that begins from now on."""
        now = monotonic()

        async def has_written() -> bool:
            return any(begun >= now for begun, _ in self.writes)

        await until(has_written)

    def longest_outage(self, since: float) -> tuple[float, float]:
        """Return the begin and end of the longest time without a write."""
        ends = sorted(end for _, end in self.writes)
        before = [end for end in ends if end <= since][-1:]
        gaps = pairwise(before + [end for end in ends if end > since])
        return max(gaps, key=lambda gap: gap[1] - gap[0])

    async def _probe(self, url: str) -> None:
        while True:
            begun = monotonic()
            try:
                async with asyncio.timeout(_TIMEOUT):
                    await _write(url)
            except _ERRORS:
                pass
            else:
                self.writes.append((begun, monotonic()))
            await asyncio.sleep(_INTERVAL)


async def _write(url: str) -> None:
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        await connection.execute(_WRITE)
    finally:
        connection.terminate()


def measure(prober: WriteProber, log: RequestLog, since: float) -> FailoverTimes:
    """Return the times of a failover; a service that failed for too long is a violation."""
    begin, end = prober.longest_outage(since)
    failed = [
        attempt.end
        for _, attempt in log.attempts()
        if not attempt.succeeded and attempt.end > begin
    ]
    times = FailoverTimes(end - begin, max(failed, default=begin) - begin)
    if times.unavailable > times.seconds + _ALLOWED:
        log.violations.append(
            f"the service failed for {times.unavailable:.1f} s of a failover that took"
            f" {times.seconds:.1f} s"
        )
    return times

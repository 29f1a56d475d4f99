"""A worker with jobs that do not end: run as a program, with the seconds that it has as argument.

`waits` ends when it is cancelled, `ignores` does not, and `blocks` lets nothing else run.
"""

import asyncio
import sys
import time
from collections.abc import Mapping
from datetime import timedelta

from app import shutdown
from app.cli.main import main
from app.jobs import registry, runner, worker
from app.jobs.runner import Job, JobRun
from app.settings import Settings

LONG = 60.0


async def _blocks(_run: JobRun) -> None:
    time.sleep(LONG)  # noqa: ASYNC251 - as a job that computes would


async def _waits(_run: JobRun) -> None:
    await asyncio.sleep(LONG)


async def _ignores(_run: JobRun) -> None:
    while True:
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            continue


def _registry(settings: Settings) -> Mapping[str, Job]:
    limit = timedelta(seconds=LONG)
    return {
        **registry.build_registry(settings),
        "waits": Job(_waits, limit, "waits"),
        "blocks": Job(_blocks, limit, "blocks the process"),
        "ignores": Job(_ignores, limit, "ignores that it is cancelled"),
    }


if __name__ == "__main__":
    seconds = float(sys.argv.pop(1))
    if seconds < shutdown.SHUTDOWN_SECONDS:
        shutdown.LAST_RESORT = seconds - 1  # type: ignore[misc]  # shorter than in earnest
        worker.DRAIN_TIMEOUT = runner.CANCELLATION_TIMEOUT = 0.5  # type: ignore[misc]
    worker.build_registry = _registry  # type: ignore[attr-defined]
    main()

"""Jobs for tests of the schedule."""

from datetime import time, timedelta

from app.jobs.runner import Job, JobRun


async def _do_nothing(run: JobRun) -> None:
    pass


def daily(name: str, *times: time) -> dict[str, Job]:
    """Return a registry of one job, which is due at these times of each day."""
    return {name: Job(_do_nothing, timedelta(minutes=1), "A job of a test.", times)}

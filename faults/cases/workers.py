"""The worker is killed at each stage of each job, and started again by its supervisor."""

from collections.abc import Awaitable, Callable
from typing import Final

from app.jobs.registry import SWEEP_PROOFS
from faults.case import Case
from faults.job_scenarios import JOB_SCENARIOS, SENDING_PAUSE_POINTS, JobScenario
from faults.load import LoadGenerator
from faults.stack import Layout, Stack
from faults.worker_kills import (
    kill_at,
    kill_in_smtp_session,
    kill_while_sending,
    kill_while_sweeping,
)
from tests.support.smtp import BEFORE_ACCEPTANCE, Stage

# A short lease, for the sake of time: the entry of a killed worker comes back after it.
_LAYOUT: Final = Layout(settings={"JOB_LEASE": "1", "NOTIFY_ON_ISSUE": "true"})
_SECONDS: Final = 240.0


def _killed_in(stages: JobScenario) -> Callable[[Stack, LoadGenerator], Awaitable[None]]:
    async def run(stack: Stack, load: LoadGenerator) -> None:
        async with load.running(), stack.database() as database:
            await load.wait_until_healthy()
            for place in stages.all:
                await kill_at(stack, load, database, stages, place)
            if stages.job == SWEEP_PROOFS:
                await kill_while_sweeping(stack, load, database)
            await load.wait_for_recovery()

    return run


async def _killed_sending(stack: Stack, load: LoadGenerator) -> None:
    async with load.running(), stack.database() as database:
        await load.wait_until_healthy()
        for place in SENDING_PAUSE_POINTS:
            await kill_while_sending(stack, load, database, place)
        for stage in (*BEFORE_ACCEPTANCE, Stage.ACCEPTED):
            await kill_in_smtp_session(stack, load, database, stage)
        await load.wait_for_recovery()


CASES = (
    Case(
        "worker-killed-deliver",
        "A worker killed at each stage of `deliver`",
        _killed_sending,
        seconds=_SECONDS,
        layout=_LAYOUT,
    ),
    *(
        Case(
            f"worker-killed-{stages.job.replace('_', '-')}",
            f"A worker killed at each stage of `{stages.job}`",
            _killed_in(stages),
            seconds=_SECONDS,
            layout=_LAYOUT,
        )
        for stages in JOB_SCENARIOS
    ),
)

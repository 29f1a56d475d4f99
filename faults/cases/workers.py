"""The worker is killed at each stage of each job, and started again by its supervisor."""

from collections.abc import Awaitable, Callable
from typing import Final

from app.jobs.registry import SWEEP_PROOFS
from faults.case import Case
from faults.killing import kill_at, kill_in_conversation, kill_while_sending, kill_while_sweeping
from faults.load import Load
from faults.stack import Layout, Stack
from faults.stages import SENDING, STAGES, Stages
from tests.support.smtp import Stage

# A short lease, for the sake of time: the entry of a killed worker comes back after it.
_LAYOUT: Final = Layout(settings={"JOB_LEASE": "1", "NOTIFY_ON_ISSUE": "true"})
_SECONDS: Final = 240.0


def _killed_in(stages: Stages) -> Callable[[Stack, Load], Awaitable[None]]:
    async def run(stack: Stack, load: Load) -> None:
        async with load.running(), stack.database() as database:
            await load.well()
            for place in stages.all:
                await kill_at(stack, load, database, stages, place)
            if stages.job == SWEEP_PROOFS:
                await kill_while_sweeping(stack, load, database)
            await load.recovered()

    return run


async def _killed_sending(stack: Stack, load: Load) -> None:
    async with load.running(), stack.database() as database:
        await load.well()
        for place in SENDING:
            await kill_while_sending(stack, load, database, place)
        for stage in Stage:
            await kill_in_conversation(stack, load, database, stage)
        await load.recovered()


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
        for stages in STAGES
    ),
)

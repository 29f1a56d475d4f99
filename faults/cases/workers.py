"""The worker is killed at each stage of each job, and its supervisor restarts it."""

from collections.abc import Awaitable, Callable
from typing import Final

from app.jobs.registry import SWEEP_PROOFS
from faults.case import Case
from faults.job_scenarios import (
    CREDIT_NOTE_PAUSE_POINTS,
    JOB_SCENARIOS,
    SENDING_PAUSE_POINTS,
    JobScenario,
)
from faults.load import LoadGenerator
from faults.stack import Layout, Stack
from faults.worker_kills import (
    kill_at,
    kill_in_smtp_session,
    kill_while_sending,
    kill_while_sweeping,
)
from tests.support.smtp import BEFORE_ACCEPTANCE, Stage

# A short lease saves time: the entry of a killed worker is due again at its end.
_LAYOUT: Final = Layout(settings={"JOB_LEASE": "1", "NOTIFY_ON_ISSUE": "true"})
_SECONDS: Final = 240.0


def _killed_in(scenario: JobScenario) -> Callable[[Stack, LoadGenerator], Awaitable[None]]:
    async def run(stack: Stack, load: LoadGenerator) -> None:
        async with load.running(), stack.database() as database:
            await load.wait_until_healthy()
            for point in scenario.all_pause_points:
                await kill_at(stack, load, database, scenario, point)
            if scenario.job == SWEEP_PROOFS:
                await kill_while_sweeping(stack, load, database)
            await load.wait_for_recovery()

    return run


async def _killed_sending(stack: Stack, load: LoadGenerator) -> None:
    async with load.running(), stack.database() as database:
        await load.wait_until_healthy()
        for point in SENDING_PAUSE_POINTS:
            await kill_while_sending(stack, load, database, point)
        for stage in (*BEFORE_ACCEPTANCE, Stage.ACCEPTED):
            await kill_in_smtp_session(stack, load, database, stage)
        await load.wait_for_recovery()


async def _killed_sending_credit_notes(stack: Stack, load: LoadGenerator) -> None:
    async with load.running(), stack.database() as database:
        await load.wait_until_healthy()
        for point in CREDIT_NOTE_PAUSE_POINTS:
            await kill_while_sending(stack, load, database, point)
        for stage in (Stage.DATA, Stage.CONTENT, Stage.ACCEPTED):
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
    Case(
        "worker-killed-credit-notes",
        "A worker killed while it sends mails of credit notes",
        _killed_sending_credit_notes,
        seconds=_SECONDS,
        layout=_LAYOUT,
        credits_invoices=True,
    ),
    *(
        Case(
            f"worker-killed-{scenario.job.replace('_', '-')}",
            f"A worker killed at each stage of `{scenario.job}`",
            _killed_in(scenario),
            seconds=_SECONDS,
            layout=_LAYOUT,
        )
        for scenario in JOB_SCENARIOS
    ),
)

"""One case from start to end: servers up, the fault under load, the comparison, servers down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from app.dataio.jsonl.reader import load_file
from faults.case import Case
from faults.comparison import compare
from faults.ground import CUSTOMERS, make_ground
from faults.leftovers import hurry, work_is_done
from faults.load import Load
from faults.results import Outcome
from faults.stack import Stack

_BACKLOG_SECONDS = 420.0
"""Longer than the lease of a delivery whose worker died, and the pauses after two failures."""
_HURRIED_SECONDS = 60.0


@asynccontextmanager
async def prepared(case: Case, customers: int = CUSTOMERS) -> AsyncIterator[tuple[Stack, Load]]:
    """Yield everything started, and a load on fresh ground."""
    async with Stack(case.layout) as stack:
        ground = make_ground(customers)
        async with stack.database() as database:
            report = await load_file(database, stack.settings, str(ground.write(stack.place)))
            assert report.fault_count == 0
        await stack.start_programs()
        yield stack, Load(stack.urls, ground)


async def run(case: Case, stack: Stack, load: Load, *, patient: bool) -> Outcome:
    """Cause the fault and end it, and compare.

    With patience mails that wait for their time are waited for, else their time is made to come.
    """
    outcome = Outcome(case.name, case.title)
    stuck = ""
    try:
        async with asyncio.timeout(case.seconds):
            await case.run(stack, load)
    except TimeoutError:
        stuck = "all did not go well again in time"
    outcome.recovery = load.recovery
    async with stack.database() as database:
        try:
            if not patient:
                await hurry(stack, database, _HURRIED_SECONDS)
            else:
                await work_is_done(database, _BACKLOG_SECONDS)
                if load.fault_ended is not None:
                    outcome.backlog = monotonic() - load.fault_ended
        except TimeoutError:
            stuck = stuck or "not every mail went out in time"
        outcome.findings = await compare(
            database,
            stack.settings,
            stack.smtp,
            load,
            breaks_connections=case.breaks_connections,
        )
    if stuck:
        outcome.findings.wrong.append(stuck)
    return outcome


async def run_case(case: Case, *, patient: bool = True, customers: int = CUSTOMERS) -> Outcome:
    """Run a case on a stack of its own, where the machine has what it needs."""
    missing = case.needs()
    if missing:
        return Outcome(case.name, case.title, missing=missing)
    async with prepared(case, customers) as (stack, load):
        return await run(case, stack, load, patient=patient)

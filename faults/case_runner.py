"""One case from start to end: servers up, the fault under load, the comparison, servers down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from app.dataio.jsonl.importer import import_file
from faults.case import Case
from faults.cleanup import expedite_deliveries, wait_for_deliveries
from faults.comparison import compare
from faults.dataset import CUSTOMERS, create_dataset
from faults.load import LoadGenerator
from faults.results import CaseResult
from faults.stack import Stack

_BACKLOG_SECONDS = 420.0
"""Longer than the lease of a delivery whose worker died, and the pauses after two failures."""
_HURRIED_SECONDS = 60.0


@asynccontextmanager
async def prepared_stack(
    case: Case, customers: int = CUSTOMERS
) -> AsyncIterator[tuple[Stack, LoadGenerator]]:
    """Yield everything started, and a load on a new dataset."""
    async with Stack(case.layout) as stack:
        dataset = create_dataset(customers)
        async with stack.database() as database:
            report = await import_file(database, stack.settings, str(dataset.write(stack.place)))
            assert report.rejected_count == 0
        await stack.start_programs()
        yield stack, LoadGenerator(stack.urls, dataset)


async def run_on_stack(
    case: Case, stack: Stack, load: LoadGenerator, *, patient: bool
) -> CaseResult:
    """Cause the fault and end it, and compare.

    With patience mails that wait for their time are waited for, else their time is made to come.
    """
    outcome = CaseResult(case.name, case.title)
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
                await expedite_deliveries(stack, database, _HURRIED_SECONDS)
            else:
                await wait_for_deliveries(database, _BACKLOG_SECONDS)
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


async def run_case(case: Case, *, patient: bool = True, customers: int = CUSTOMERS) -> CaseResult:
    """Run a case on a stack of its own, where the machine has what it needs."""
    missing = case.needs()
    if missing:
        return CaseResult(case.name, case.title, missing=missing)
    async with prepared_stack(case, customers) as (stack, load):
        return await run_on_stack(case, stack, load, patient=patient)

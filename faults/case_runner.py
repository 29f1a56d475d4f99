"""Runs one case: starts the servers, causes the fault under load, compares, stops the servers."""

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

_BACKLOG_TIMEOUT = 420.0
"""Longer than the lease of a delivery and the delays after two failures."""
_EXPEDITED_TIMEOUT = 60.0


@asynccontextmanager
async def prepared_stack(
    case: Case, customers: int = CUSTOMERS
) -> AsyncIterator[tuple[Stack, LoadGenerator]]:
    """Yield a started stack and a load generator for a new dataset."""
    async with Stack(case.layout) as stack:
        dataset = create_dataset(customers, with_credits=case.credits_invoices)
        if case.credits_invoices:
            stack.environment["NOTIFY_ON_ISSUE"] = "true"
        async with stack.database() as database:
            report = await import_file(database, stack.settings, str(dataset.write(stack.place)))
            assert report.rejected_count == 0
        await stack.start_programs()
        yield stack, LoadGenerator(stack.urls, dataset)


async def run_on_stack(
    case: Case, stack: Stack, load: LoadGenerator, *, patient: bool
) -> CaseResult:
    """Cause the fault, end it, and compare.

    `patient` waits for delayed mails; otherwise their due times are moved to now.
    """
    outcome = CaseResult(case.name, case.title)
    timeout_error = ""
    try:
        async with asyncio.timeout(case.seconds):
            await case.run(stack, load)
    except TimeoutError:
        timeout_error = "the service did not recover in time"
    outcome.recovery, outcome.failover = load.recovery, load.failover
    async with stack.database() as database:
        try:
            if not patient:
                await expedite_deliveries(stack, database, _EXPEDITED_TIMEOUT)
            else:
                await wait_for_deliveries(database, _BACKLOG_TIMEOUT)
                if load.fault_ended is not None:
                    outcome.backlog = monotonic() - load.fault_ended
        except TimeoutError:
            timeout_error = timeout_error or "not every mail was sent in time"
        stack.age_objects()
        outcome.findings = await compare(
            database,
            stack.settings,
            stack.smtp,
            load,
            breaks_connections=case.breaks_connections,
        )
    if timeout_error:
        outcome.findings.wrong.append(timeout_error)
    return outcome


async def run_case(case: Case, *, patient: bool = True, customers: int = CUSTOMERS) -> CaseResult:
    """Run a case on its own stack, unless the machine lacks a requirement."""
    missing = case.needs()
    if missing:
        return CaseResult(case.name, case.title, missing=missing)
    async with prepared_stack(case, customers) as (stack, load):
        return await run_on_stack(case, stack, load, patient=patient)

"""One case from start to end: servers up, the fault under load, the comparison, servers down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import Any

from tests.faults.case import Case
from tests.faults.comparison import Findings, compare
from tests.faults.ground import lay_ground
from tests.faults.leftovers import hurry, work_is_done
from tests.faults.load import Load
from tests.faults.stack import Stack

_BACKLOG_SECONDS = 420.0
"""Longer than the lease of a delivery whose worker died, and the pauses after two failures."""
_HURRIED_SECONDS = 60.0


@dataclass
class Outcome:
    """What a case came to."""

    name: str
    title: str
    findings: Findings = field(default_factory=Findings)
    recovery: float | None = None
    """Seconds from the end of the fault until all requests went well again."""
    backlog: float | None = None
    """Seconds from the end of the fault until every mail was out; None where it was hurried."""
    missing: str = ""
    """Why it could not be run here."""

    def as_json(self) -> dict[str, Any]:
        """Return it as `json.dumps` takes it."""
        return asdict(self)


@asynccontextmanager
async def prepared(case: Case, customers: int) -> AsyncIterator[tuple[Stack, Load]]:
    """Yield everything started, and a load on fresh ground."""
    async with Stack(case.layout) as stack:
        ground = await lay_ground(stack.postgresql.url, customers)
        await stack.start_programs()
        yield stack, Load(stack, ground)


async def run_case(case: Case, *, patient: bool = True, customers: int = 60) -> Outcome:
    """Run a case; with patience, wait until mails that are to wait for their time are out."""
    outcome = Outcome(case.name, case.title, missing=case.needs())
    if outcome.missing:
        return outcome
    async with prepared(case, customers) as (stack, load):
        stuck = ""
        try:
            async with asyncio.timeout(case.seconds):
                await case.run(stack, load)
        except TimeoutError:
            stuck = f"the case was not done in {case.seconds:.0f} s"
        try:
            if patient:
                await work_is_done(stack, _BACKLOG_SECONDS)
                if load.fault_ended is not None:
                    outcome.backlog = monotonic() - load.fault_ended
            else:
                await hurry(stack, _HURRIED_SECONDS)
        except TimeoutError:
            stuck = stuck or "mails are not out"
        outcome.findings = await compare(stack, load, breaks_connections=case.breaks_connections)
        outcome.recovery = load.recovery
        if stuck:
            outcome.findings.wrong.append(stuck)
    return outcome

"""A scenario for each job: its work, its pause points, and the check of its result."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.database.engine import Database
from app.deliveries import schedule
from app.invoices.actions.issue import NOTIFY
from app.invoices.models import Invoice
from app.jobs import registry
from app.payments.jobs.sweep_proofs import SAFE_AGE
from faults.load import LoadGenerator
from faults.month_close import add_invoices, find_close_errors
from faults.pause_points import PausePoint
from faults.stack import Stack
from tests.support.history import KEY

_PENDING: Final = 3
_ORPHANS: Final = 10
_LONG_AGO: Final = Period(2020, 1)
_NO_SUCH_YEAR: Final = 2001
_HOLD: Final = "ALTER TABLE invoices {} TRIGGER document_3_hold_totals"
_ACTOR: Final = Actor("fault suite")

Check = Callable[[AsyncConnection], Awaitable[list[str]]]
"""Returns the errors in the result of the job, one line each."""


@dataclass(frozen=True)
class PreparedJob:
    """Prepared work for a job, and the check of its result."""

    arguments: dict[str, Any]
    check: Check
    names: dict[str, Any]
    """The values of the names in the conditions of the pause points."""


Prepare = Callable[[Stack, Database, LoadGenerator], Awaitable[PreparedJob]]


@dataclass(frozen=True)
class JobScenario:
    """A job, the preparation of its work, and its pause points."""

    job: str
    prepare: Prepare
    pause_points: tuple[PausePoint, ...]

    @property
    def all_pause_points(self) -> tuple[PausePoint, ...]:
        """All pause points and their commits, including those of the outbox entry."""
        return _with_commits(self.job, *self.pause_points)


def _with_commits(job: str, *pause_points: PausePoint) -> tuple[PausePoint, ...]:
    is_entry = f"NEW.job = '{job}' AND "
    claimed = PausePoint("outbox", "UPDATE", is_entry + "NEW.attempts > OLD.attempts")
    done = PausePoint("outbox", "UPDATE", is_entry + "NEW.done_at IS NOT NULL")
    return _each_with_commit(claimed, *pause_points, done)


def _each_with_commit(*pause_points: PausePoint) -> tuple[PausePoint, ...]:
    return tuple(point for each in pause_points for point in (each, each.committed))


async def _nothing_to_check(connection: AsyncConnection) -> list[str]:
    return []


def _expect(statement: str, expected: int, words: str) -> Check:
    async def check(connection: AsyncConnection) -> list[str]:
        found = (await connection.execute(text(statement))).scalar_one()
        return [] if found == expected else [f"{found} {words}, expected {expected}"]

    return check


async def _prepare_notify(stack: Stack, database: Database, load: LoadGenerator) -> PreparedJob:
    (subject,) = await add_invoices(database, load, _LONG_AGO, 1, InvoiceState.CREATED)
    # The comparison checks that each recipient gets one delivery.
    async with database.reading() as connection:
        found = await connection.execute(select(Invoice.id).where(Invoice.uuid == subject.uuid))
    names = {"id": found.scalar_one()}
    return PreparedJob({"invoice": str(subject.uuid)}, _nothing_to_check, names)


async def _prepare_close(stack: Stack, database: Database, load: LoadGenerator) -> PreparedJob:
    subjects = await add_invoices(database, load, _LONG_AGO, _PENDING)

    async def check(connection: AsyncConnection) -> list[str]:
        today = clock.today()
        days = (today - timedelta(days=1), today)
        return await find_close_errors(connection, subjects, Period.containing(today), *days)

    middle = subjects[_PENDING // 2]
    return PreparedJob({}, check, {"uuid": middle.uuid})


async def _prepare_reconcile(stack: Stack, database: Database, load: LoadGenerator) -> PreparedJob:
    subject = load.dataset.to_annotate[0]
    drift = "UPDATE invoices SET incurred_costs = incurred_costs + 1 WHERE uuid = :uuid"
    async with audited_transaction(database, KEY, _ACTOR) as connection:
        # The database refuses it for an issued invoice.
        await connection.execute(text(_HOLD.format("DISABLE")))
        await connection.execute(text(drift), {"uuid": subject.uuid})
        await connection.execute(text(_HOLD.format("ENABLE")))
        await connection.execute(_tally(1))
    drifted = f"""
        SELECT count(*) FROM invoices AS i WHERE uuid = '{subject.uuid}' AND incurred_costs <> (
            SELECT sum(unit_price * quantity) FROM invoice_items WHERE invoice_id = i.id)
    """
    return PreparedJob({}, _expect(drifted, 0, "invoices drifted"), {})


async def _prepare_merge(stack: Stack, database: Database, load: LoadGenerator) -> PreparedJob:
    async with database.transaction() as connection:
        for number in (1, -1):
            await connection.execute(_tally(number))
    left = f"SELECT count(*) FROM invoice_tallies WHERE year = {_NO_SUCH_YEAR}"
    return PreparedJob({}, _expect(left, 0, "empty summary rows remain"), {})


async def _prepare_year(stack: Stack, database: Database, load: LoadGenerator) -> PreparedJob:
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE customer_year_totals SET since = since - 1"))
    behind = "SELECT count(DISTINCT since) FROM customer_year_totals"
    return PreparedJob({}, _expect(behind, 1, "start days of yearly sums"), {})


async def _prepare_purge(stack: Stack, database: Database, load: LoadGenerator) -> PreparedJob:
    async with database.transaction() as connection:
        await connection.execute(_old_entries)
    left = "SELECT count(*) FROM outbox WHERE done_at < now() - interval '7 days'"
    return PreparedJob({}, _expect(left, 0, "old entries remain"), {})


async def _prepare_answers(stack: Stack, database: Database, load: LoadGenerator) -> PreparedJob:
    async with database.transaction() as connection:
        await connection.execute(_old_answers)
    left = "SELECT count(*) FROM kept_answers WHERE created_at < now() - interval '1 day'"
    return PreparedJob({}, _expect(left, 0, "old stored responses remain"), {})


async def _prepare_sweep(stack: Stack, database: Database, load: LoadGenerator) -> PreparedJob:
    orphans = create_orphaned_proofs(stack, _ORPHANS)

    async def check(connection: AsyncConnection) -> list[str]:
        return [
            f"the proof {path.name} without payment remains" for path in orphans if path.exists()
        ]

    return PreparedJob({}, check, {})


def create_orphaned_proofs(stack: Stack, number: int) -> list[Path]:
    """Create old proof files that belong to no payment."""
    stack.proofs.mkdir(mode=0o700, parents=True, exist_ok=True)
    aged = (clock.now() - 2 * SAFE_AGE).timestamp()
    orphans = [stack.proofs / uuid4().hex for _ in range(number)]
    for path in orphans:
        path.write_bytes(b"%PDF-1.7")
        os.utime(path, (aged, aged))
    return orphans


def _tally(invoices: int) -> TextClause:
    return text(
        "INSERT INTO invoice_tallies (year, month, state, invoices, price, cost)"
        f" VALUES ({_NO_SUCH_YEAR}, 1, 'paid', {invoices}, 0, 0)"
    )


_old_entries: Final = text("""
INSERT INTO outbox (job, arguments, created_at, due_at, done_at, attempts, last_error)
SELECT 'merge_tallies', '{}', at, at, at, 1, ''
FROM generate_series(1, 3), (SELECT now() - interval '8 days' AS at) AS old
""")
_old_answers: Final = text("""
INSERT INTO kept_answers
    (user_id, key, request_digest, status, headers, body, is_packed, created_at)
SELECT id, gen_random_uuid()::text, '', 200, '{}', '', false, now() - interval '2 days'
FROM users LIMIT 3
""")

JOB_SCENARIOS: Final = (
    JobScenario(
        NOTIFY,
        _prepare_notify,
        (PausePoint("notification_deliveries", "INSERT", "NEW.invoice_id = {id}"),),
    ),
    JobScenario(
        registry.CLOSE_MONTH,
        _prepare_close,
        (
            PausePoint("invoices", "UPDATE", "NEW.uuid = '{uuid}' AND NEW.state <> OLD.state"),
            PausePoint("invoice_history", "INSERT", "NEW.invoice_uuid = '{uuid}'"),
            PausePoint("outbox", "INSERT", "NEW.arguments ->> 'invoice' = '{uuid}'"),
            PausePoint("invoices", "INSERT", "NEW.state = 'pending'"),
        ),
    ),
    JobScenario(
        registry.RECONCILE_TOTALS,
        _prepare_reconcile,
        (
            PausePoint("invoices", "UPDATE", "NEW.incurred_costs <> OLD.incurred_costs"),
            PausePoint("invoice_tallies", "INSERT", f"NEW.year = {_NO_SUCH_YEAR}"),
        ),
    ),
    JobScenario(
        registry.MERGE_TALLIES,
        _prepare_merge,
        (PausePoint("invoice_tallies", "DELETE", f"OLD.year = {_NO_SUCH_YEAR}"),),
    ),
    JobScenario(
        registry.BRING_YEAR_FORWARD,
        _prepare_year,
        (PausePoint("customer_year_totals", "UPDATE", "NEW.since <> OLD.since"),),
    ),
    JobScenario(registry.SWEEP_PROOFS, _prepare_sweep, ()),
    JobScenario(registry.PURGE_OUTBOX, _prepare_purge, (PausePoint("outbox", "DELETE", "true"),)),
    JobScenario(
        registry.PURGE_ANSWERS, _prepare_answers, (PausePoint("kept_answers", "DELETE", "true"),)
    ),
)
"""All jobs except `deliver`, whose work comes from the load."""

SENDING_PAUSE_POINTS: Final = _with_commits(
    schedule.DELIVER,
    PausePoint("notification_deliveries", "UPDATE", "NEW.state = 'sending'"),
    PausePoint("notification_deliveries", "UPDATE", "NEW.state = 'sent'"),
)
"""The pause points of `deliver`; its SMTP session is between them."""

_OF_CREDIT_NOTE: Final = "NEW.credit_note_id IS NOT NULL AND "
CREDIT_NOTE_PAUSE_POINTS: Final = _each_with_commit(
    PausePoint("notification_deliveries", "UPDATE", _OF_CREDIT_NOTE + "NEW.state = 'sending'"),
    PausePoint("notification_deliveries", "UPDATE", _OF_CREDIT_NOTE + "NEW.state = 'sent'"),
)
"""The pause points of `deliver` at the mail of a credit note."""

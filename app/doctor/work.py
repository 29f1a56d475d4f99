"""The work itself: jobs that wait or were given up, mail that failed, months, proofs."""

import asyncio
import secrets
import shutil
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select

from app import clock
from app.billing.enums import DeliveryState
from app.billing.periods import Period
from app.database.engine import Database
from app.database.server_clock import database_now, time_between
from app.deliveries.models import Delivery
from app.disk import write_problem
from app.doctor.check_result import CheckResult, warning, well, wrong
from app.invoices.jobs.close_month import closed
from app.invoices.queries.stored_currency import stored_currency
from app.outbox.models import OutboxEntry
from app.payments.models import Payment
from app.payments.proofs import ProofStore
from app.settings import Settings

_COUNTED: Final = 100_000
"""Invoices that are counted at most."""
_LATELY: Final = timedelta(days=7)
_LATE: Final = timedelta(minutes=1)
_VERY_LATE: Final = timedelta(minutes=10)
_SAMPLE: Final = 200
_ROOM: Final = 100
"""So many of the largest proofs should fit on the disk."""


async def currency(database: Database, settings: Settings) -> list[CheckResult]:
    """Tell whether the setting is the currency of the invoices that are there."""
    ours = settings.currency
    async with database.reading() as connection:
        found = await stored_currency(connection)
    if found.code == ours:
        return [well(f"amounts are in {ours}, with {found.decimals} decimals")]
    if not found.is_fixed:
        return [well(f"amounts are in {ours} from the next start on")]
    return [
        wrong(
            f"CURRENCY is {ours}, but the invoices in the database are in {found.code}",
            f"Set CURRENCY={found.code}, or use another database.",
        )
    ]


async def outbox(database: Database, _settings: Settings) -> list[CheckResult]:
    """Tell how long jobs have been due, and which were given up lately."""
    now = database_now()
    waiting = select(func.count(), time_between(func.min(OutboxEntry.due_at), now)).where(
        OutboxEntry.done_at.is_(None), OutboxEntry.due_at <= now
    )
    given_up = (
        select(OutboxEntry.job, func.count())
        .where(OutboxEntry.done_at > now - _LATELY, OutboxEntry.last_error != "")
        .group_by(OutboxEntry.job)
        .order_by(OutboxEntry.job)
    )
    async with database.reading() as connection:
        number, late = (await connection.execute(waiting)).one()
        lost = (await connection.execute(given_up)).all()
    findings = []
    if late is not None and late > _LATE:
        tell = wrong if late > _VERY_LATE else warning
        findings.append(
            tell(
                f"{number} jobs are due, the oldest for {late.total_seconds():.0f} s",
                "See that a worker runs and what it logs; more workers share the work.",
            )
        )
    if lost:
        names = ", ".join(f"{job} ({times})" for job, times in lost)
        findings.append(
            warning(
                f"given up within seven days: {names}",
                "Their `last_error` in the table outbox says why; `python -m app job` runs one"
                " by hand.",
            )
        )
    return findings or [well(f"{number} jobs are due, none is late; none was given up lately")]


async def deliveries(database: Database, _settings: Settings) -> list[CheckResult]:
    """Tell how many notifications of late could not be delivered."""
    failed = select(func.count()).where(
        Delivery.state == DeliveryState.FAILED, Delivery.created_at > database_now() - _LATELY
    )
    async with database.reading() as connection:
        number = (await connection.execute(failed)).scalar_one()
    if number:
        return [
            warning(
                f"{number} of the last seven days failed",
                "`python -m app delivery list --state failed` says why; `delivery retry` tries"
                " again.",
            )
        ]
    return [well("none of the last seven days failed")]


async def months(database: Database, _settings: Settings) -> list[CheckResult]:
    """Tell whether the months that have passed are closed."""
    last = Period.containing(clock.today()).shifted(-1)
    async with database.reading() as connection:
        number = (await closed(connection, _COUNTED)).overdue
    if number == 0:
        return [well(f"{last.year}-{last.month:02} and all before are closed")]
    return [
        wrong(
            f"{number} invoices of {last.year}-{last.month:02} or before are still pending",
            "See that a worker runs; `python -m app job close_month` issues them and says what"
            " fails.",
        )
    ]


async def disk(settings: Settings) -> list[CheckResult]:
    """Tell whether proofs can be written, and for how long there is room for them.

    A folder that is missing is not made: it may be on a disk that is not mounted now, and a running
    service would then write beside it.
    """
    if not await asyncio.to_thread(settings.proof_dir.exists):
        return [
            warning(
                f"PROOF_DIR, {settings.proof_dir}, does not exist, so that no proof can be taken",
                "Mount it, or restart the service, which makes it, if it never was there.",
            )
        ]
    problem = await asyncio.to_thread(write_problem, settings.proof_dir)
    if problem:
        return [wrong(f"PROOF_DIR is wrong: {problem}", "Mount it, or give it to our user.")]
    free = (await asyncio.to_thread(shutil.disk_usage, settings.proof_dir)).free
    found = f"{settings.proof_dir} can be written to and has {free / 2**20:,.0f} MiB left"
    if free < settings.proof_max_bytes:
        return [wrong(found, "Make room: the next proof may not fit.")]
    if free < settings.proof_max_bytes * _ROOM:
        return [warning(found, f"Make room: {_ROOM} proofs of PROOF_MAX_BYTES do not fit.")]
    return [well(found)]


async def proofs(database: Database, settings: Settings) -> list[CheckResult]:
    """Tell whether proofs that payments name are there: a sample, chosen anew each time."""
    store = ProofStore(settings.proof_dir, settings.proof_max_bytes)
    # Keys are random: those from a random one on are any of them.
    start = secrets.token_hex(16)
    sample = select(Payment.proof_key, Payment.proof_size).limit(_SAMPLE)
    after = sample.where(Payment.proof_key >= start).order_by(Payment.proof_key)
    before = sample.where(Payment.proof_key < start).order_by(Payment.proof_key.desc())
    async with database.reading() as connection:
        named = [*await connection.execute(after), *await connection.execute(before)]

    def missing() -> int:
        return sum(not _is_whole(store, key, size) for key, size in named)

    number = await asyncio.to_thread(missing)
    if number:
        return [
            wrong(
                f"of {len(named)} proofs that were looked for, {number} are not in"
                f" {settings.proof_dir}, or not whole",
                "PROOF_DIR must be one place for all processes; restore it with the database.",
            )
        ]
    return [well(f"all {len(named)} that were looked for are there")]


def _is_whole(store: ProofStore, key: str, size: int) -> bool:
    try:
        return store.path(key).stat().st_size == size
    except (OSError, ValueError):
        return False

"""The clock passes the end of a month or a leap day, or jumps."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from typing import Final

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.periods import Period
from app.database.engine import Database
from app.jobs.registry import CLOSE_MONTH
from app.outbox.models import OutboxEntry
from faults import fake_clock
from faults.case import Case
from faults.dataset import SampleInvoice
from faults.fake_clock import FakeClock
from faults.load import LoadGenerator
from faults.month_close import add_invoices, are_pending, find_close_errors
from faults.stack import Layout, Stack, wait_until_live
from tests.support.smtp import Fault, Stage
from tests.support.worker import until

# The default lease: an entry claimed from a slow worker waits until the lease of its mail ends.
_LAYOUT: Final = Layout(workers=2, settings={"JOB_LEASE": "30", "NOTIFY_ON_ISSUE": "true"})
_INVOICES: Final = 20
_QUARTER_PAST: Final = timedelta(minutes=15)
_BEFORE_MIDNIGHT: Final = timedelta(seconds=5)
_PAST_MIDNIGHT: Final = 8.0
_BEFORE_CLOSE: Final = time(0, 4, 57, tzinfo=UTC)
_CLOSE_SECONDS: Final = 60.0
_AFTERWARDS: Final = 3.0
_NEVER: Final = datetime(2100, 1, 1, tzinfo=UTC)
_NOON: Final = datetime(2027, 3, 10, 12, tzinfo=UTC)
_APART: Final = timedelta(minutes=10)
_SLOWLY: Final = 2.5
_MANY_MAILS: Final = 25.0
_FORWARDS: Final = (timedelta(hours=6), timedelta(hours=23))
_BACKWARDS: Final = (timedelta(minutes=1), timedelta(hours=2))


async def _restart_with(clock: FakeClock, stack: Stack) -> None:
    """Restart all processes of the service with the clock."""
    stack.environment |= clock.environment
    await fake_clock.restart([*stack.apis, *stack.workers])
    for url in stack.urls:
        await wait_until_live(url)


async def _restart_all_with(clock: FakeClock, stack: Stack) -> None:
    """Restart PostgreSQL and all processes of the service with the clock."""
    stack.place.chmod(0o711)  # PostgreSQL, which never runs as root, reads the clock's file
    stack.own_postgresql.environment = dict(clock.environment)
    await stack.postgresql.stop()
    await stack.postgresql.start()
    await _restart_with(clock, stack)


def _month_ends(*midnights: datetime) -> Callable[[Stack, LoadGenerator], Awaitable[None]]:
    """Return a case that passes midnights; only the last one ends a month."""

    async def run(stack: Stack, load: LoadGenerator) -> None:
        clock = FakeClock(stack.place / "clock")
        clock.set(midnights[0] - _QUARTER_PAST)
        await _restart_all_with(clock, stack)
        async with stack.database() as database:
            ending = Period.containing(midnights[-1] - timedelta(days=1))
            invoices = await add_invoices(database, load, ending, _INVOICES)
            async with load.running():
                await load.wait_until_healthy()
                for midnight in midnights:
                    await _pass(clock, midnight)
                    await _check_pending(database, load, invoices)
                    clock.set(datetime.combine(midnight, _BEFORE_CLOSE))
                    await _until_closing_is_done(database, midnight)
                    if midnight != midnights[-1]:
                        await _check_pending(database, load, invoices)
                await load.wait_for_recovery()
            async with database.reading() as connection:
                load.request_log.violations += await _find_close_errors(
                    connection, invoices, midnights[-1]
                )

    return run


async def _pass(clock: FakeClock, midnight: datetime) -> None:
    clock.set(midnight - _BEFORE_MIDNIGHT)
    await asyncio.sleep(_PAST_MIDNIGHT)


async def _check_pending(
    database: Database, load: LoadGenerator, invoices: tuple[SampleInvoice, ...]
) -> None:
    async with database.reading() as connection:
        if not await are_pending(connection, invoices):
            load.request_log.violations.append("invoices were issued before the time of the close")


async def _until_closing_is_done(database: Database, midnight: datetime) -> None:
    async with database.reading() as connection:

        async def is_done() -> int:
            done = _closes_since(midnight).where(OutboxEntry.done_at.is_not(None))
            return (await connection.execute(done)).scalar_one()

        await until(is_done, _CLOSE_SECONDS)


def _closes_since(midnight: datetime) -> Select[int]:
    return select(func.count()).where(
        OutboxEntry.job == CLOSE_MONTH, OutboxEntry.created_at >= midnight
    )


async def _find_close_errors(
    connection: AsyncConnection, invoices: tuple[SampleInvoice, ...], midnight: datetime
) -> list[str]:
    wrong = await find_close_errors(
        connection, invoices, Period.containing(midnight), midnight.date()
    )
    closes = (await connection.execute(_closes_since(midnight))).scalar_one()
    if closes != 1:
        wrong.append(f"the close was scheduled {closes} times by two workers")
    return wrong


async def _jumps(stack: Stack, load: LoadGenerator) -> None:
    clock = FakeClock(stack.place / "clock")
    clock.set(_NOON)
    await _restart_with(clock, stack)
    async with load.running():
        await load.wait_until_healthy()
        for jump in (*_FORWARDS, *(-back for back in _BACKWARDS)):
            clock.set(clock.now() + jump)
            await asyncio.sleep(_AFTERWARDS)
        # A delivery that fails now is due a minute later by the current clock.
        stack.smtp.fault = Fault(Stage.GREETING, cuts=True)
        async with asyncio.timeout(_CLOSE_SECONDS):
            await stack.smtp.fault.reached.wait()
        stack.smtp.fault = None
        await load.wait_for_recovery()


async def _apart(stack: Stack, load: LoadGenerator) -> None:
    """The clock of one of two workers is ahead by more than a lease, and mails are slow."""
    clock = FakeClock(stack.place / "clock")
    clock.set(clock.now() + _APART)
    ahead = stack.workers[-1]
    ahead.own |= clock.environment
    await fake_clock.restart([ahead])
    stack.smtp.delay = _SLOWLY
    async with load.running():
        await load.wait_until_healthy()
        await asyncio.sleep(_MANY_MAILS)
        await load.wait_for_recovery()
    warnings = [worker.log.read_text().count("clock differs") for worker in stack.workers]
    if warnings != [0, 1]:
        load.request_log.violations.append(
            f"the workers logged {warnings} warnings about their clocks"
        )


def _midnight(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


CASES = (
    Case(
        "clock-month-end",
        "The clock passing the end of January 2027",
        _month_ends(_midnight(2027, 2, 1)),
        seconds=180,
        needs=fake_clock.missing,
        layout=_LAYOUT,
    ),
    Case(
        "clock-leap-february",
        "The clock passing 29 February 2028, and its end",
        _month_ends(_midnight(2028, 2, 29), _midnight(2028, 3, 1)),
        seconds=240,
        needs=fake_clock.missing,
        layout=_LAYOUT,
    ),
    Case(
        "clock-apart",
        "Two workers whose clocks are ten minutes apart, and slow mails",
        _apart,
        seconds=120,
        needs=fake_clock.missing,
        # Longer than a mail takes on a busy machine: a mail may be sent twice after a timeout.
        layout=Layout(workers=2, settings={"JOB_LEASE": "30", "SMTP_TIMEOUT": "30"}),
    ),
    Case(
        "clock-jumping",
        "The clock jumping, hours forwards and backwards",
        _jumps,
        seconds=180,
        needs=fake_clock.missing,
        layout=_LAYOUT,
    ),
)

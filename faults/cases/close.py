"""The close of a month by several workers and commands at once."""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select, text

from app import clock
from app.billing.periods import Period
from app.database.engine import Database
from app.jobs.registry import CLOSE_MONTH
from app.outbox import repository as outbox
from app.outbox.models import OutboxEntry
from app.server.child_process import with_parent_death_signal
from faults.case import Case
from faults.load import LoadGenerator
from faults.month_close import add_invoices, find_close_errors
from faults.pause_points import PausePoint, pause_at
from faults.program import ROOT
from faults.stack import Layout, Stack
from tests.support.worker import until

_INVOICES: Final = 150
_COMMANDS: Final = 2
_LONG_AGO: Final = Period(2020, 1)
_SECONDS: Final = 60.0
_LONG_TIMEOUTS: Final = {"DATABASE_LOCK_TIMEOUT": "60", "DATABASE_STATEMENT_TIMEOUT": "90"}
"""Timeouts so long that the first still waits when the last command has started."""


async def _many_at_once(stack: Stack, load: LoadGenerator) -> None:
    """Close by two outbox entries and two commands, which all wait for the first invoice."""
    async with load.running(), stack.database() as database:
        await load.wait_until_healthy()
        invoices = await add_invoices(database, load, _LONG_AGO, _INVOICES)
        first = PausePoint("invoices", "UPDATE", "NEW.state <> OLD.state AND NEW.uuid = '{uuid}'")
        async with pause_at(database, first.with_names({"uuid": invoices[0].uuid})) as pause:
            async with database.transaction() as connection:
                for _ in stack.workers:
                    await outbox.record_job(connection, CLOSE_MONTH, {})
            commands = [asyncio.create_task(_run_command(stack)) for _ in range(_COMMANDS)]
            await pause.reached()
            await _until_all_wait(database, len(stack.workers) + _COMMANDS)
        load.request_log.violations += [
            output for output in await asyncio.gather(*commands) if output
        ]
        await _until_done(database)
        await load.wait_for_recovery()
        today = clock.today()
        async with database.reading() as connection:
            load.request_log.violations += await find_close_errors(
                connection, invoices, Period.containing(today), today - timedelta(days=1), today
            )


async def _until_all_wait(database: Database, number: int) -> None:
    """Wait until `number` statements wait to write or to lock the first invoice."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND"
        " (query LIKE 'UPDATE invoices SET state%' OR query LIKE 'SELECT invoices.id%FOR UPDATE')"
    )
    async with database.reading() as connection:

        async def all_wait() -> bool:
            return int((await connection.execute(waiting)).scalar_one()) >= number

        await until(all_wait, _SECONDS)


async def _run_command(stack: Stack) -> str:
    """Run the command; return its output if it failed."""
    command = [sys.executable, "-m", "app", "job", CLOSE_MONTH]
    process = await asyncio.create_subprocess_exec(
        *with_parent_death_signal(command, signal.SIGKILL),
        cwd=ROOT,
        env={**os.environ, **stack.environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return "" if process.returncode == 0 else output.decode()


async def _until_done(database: Database) -> None:
    open_closes = select(func.count()).where(
        OutboxEntry.job == CLOSE_MONTH, OutboxEntry.done_at.is_(None)
    )
    async with database.reading() as connection:

        async def none_is_open() -> bool:
            return not (await connection.execute(open_closes)).scalar_one()

        await until(none_is_open, _SECONDS)


CASES = (
    Case(
        "close-at-once",
        "A month closed by two workers and two commands at once",
        _many_at_once,
        seconds=180,
        layout=Layout(workers=2, settings={"NOTIFY_ON_ISSUE": "true", **_LONG_TIMEOUTS}),
    ),
)

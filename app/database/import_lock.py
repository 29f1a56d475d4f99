"""An import and the jobs that change many invoices take turns.

Each locks the rows of many customers in an order of its own. Side by side they would wait for each
other, and PostgreSQL would end one of them: perhaps the import, with its work of an hour. So jobs
leave their work to a later run while an import runs, and an import that begins waits for the
transaction that a job is just in.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

_IMPORT: Final = 4_817_220_311
"""The advisory lock of the one import that runs; any number, the same in every release."""
_TURN: Final = 4_817_220_312
"""The advisory lock that an import holds alone, and jobs share."""

RETRY_AFTER: Final = timedelta(minutes=1)
"""When a job that met an import is to be run again."""
REASON: Final = "an import is running"


async def try_begin_import(connection: AsyncConnection) -> bool:
    """Let no other import run until the caller's transaction ends; tell whether none does."""
    claim = select(func.pg_try_advisory_xact_lock(_IMPORT))
    return bool((await connection.execute(claim)).scalar_one())


async def lock_out_jobs(connection: AsyncConnection) -> None:
    """Wait for the jobs that are at it, and keep them out until the caller's transaction ends."""
    await connection.execute(select(func.pg_advisory_xact_lock(_TURN)))


async def try_lock_out_imports(connection: AsyncConnection) -> bool:
    """Let no import begin until the caller's transaction ends; False where one runs."""
    share = select(func.pg_try_advisory_xact_lock_shared(_TURN))
    return bool((await connection.execute(share)).scalar_one())


async def lock_out_imports(connection: AsyncConnection) -> None:
    """Wait until no import runs, and let none begin until the caller's transaction ends."""
    await connection.execute(select(func.pg_advisory_xact_lock_shared(_TURN)))

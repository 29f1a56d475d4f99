"""Locks that keep an import and the jobs that change many invoices from running together.

Each locks the rows of many customers, in its own order. Side by side they would deadlock, and
PostgreSQL would end one of them: perhaps the import, after an hour of work. So a job that meets an
import runs again later, and an import waits for the current transactions of jobs before it starts.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

_IMPORT: Final = 4_817_220_311
"""The advisory lock of the running import; any number, but the same in every release."""
_JOBS: Final = 4_817_220_312
"""The advisory lock that an import holds exclusively, and jobs share."""

RETRY_AFTER: Final = timedelta(minutes=1)
"""The pause before a job that met an import runs again."""
REASON: Final = "an import is running"


async def try_begin_import(connection: AsyncConnection) -> bool:
    """Lock out other imports until the transaction ends; return False if one is running."""
    statement = select(func.pg_try_advisory_xact_lock(_IMPORT))
    return bool((await connection.execute(statement)).scalar_one())


async def lock_out_jobs(connection: AsyncConnection) -> None:
    """Wait for the current transactions of jobs; lock out jobs until the transaction ends."""
    await connection.execute(select(func.pg_advisory_xact_lock(_JOBS)))


async def try_lock_out_imports(connection: AsyncConnection) -> bool:
    """Lock out imports until the transaction ends; return False if one is running."""
    statement = select(func.pg_try_advisory_xact_lock_shared(_JOBS))
    return bool((await connection.execute(statement)).scalar_one())


async def lock_out_imports(connection: AsyncConnection) -> None:
    """Wait for a running import; lock out imports until the transaction ends."""
    await connection.execute(select(func.pg_advisory_xact_lock_shared(_JOBS)))

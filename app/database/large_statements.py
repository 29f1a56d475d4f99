"""PostgreSQL's memory and processes for statements on very many rows."""

from typing import Final

from sqlalchemy import func, select, text, true
from sqlalchemy.ext.asyncio import AsyncConnection

_RAISE_MEMORY: Final = text("""
SELECT set_config('work_mem', '64MB', true)
WHERE pg_size_bytes(current_setting('work_mem')) < pg_size_bytes('64MB')
""")
_COSTS: Final = ("parallel_setup_cost", "parallel_tuple_cost")


async def raise_work_memory(connection: AsyncConnection) -> None:
    """Let each step of a statement take 64 MB for the rest of the transaction.

    A batch of an import has some 10 MB of rows, which PostgreSQL's default of 4 MB would put into
    files again at each step.
    """
    await connection.execute(_RAISE_MEMORY)


async def allow_parallel_processes(connection: AsyncConnection) -> None:
    """Let several processes execute one select, whenever they can, until the transaction ends.

    PostgreSQL does not know that rows are long, and that making them takes most of the time.
    """
    await connection.execute(select(*(func.set_config(name, "0", true()) for name in _COSTS)))

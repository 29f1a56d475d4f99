"""The planner's statistics of tables that the transaction itself has filled.

Autovacuum sees rows after the commit. Without statistics, PostgreSQL expects few distinct values in
a table that has been filled, and reads all of it for each batch.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


async def analyze(
    connection: AsyncConnection, columns: Iterable[tuple[str, Sequence[str]]]
) -> None:
    """Collect the statistics of columns of tables, as (table, columns).

    Skips a table that is locked by VACUUM or a change of the table. PostgreSQL skips, with a
    warning, a table that the role does not own.
    """
    for table, names in columns:
        await connection.execute(text(f"ANALYZE (SKIP_LOCKED) {table} ({', '.join(names)})"))

"""PostgreSQL's COPY, in the transaction of a connection."""

from collections.abc import Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection


async def copy_rows(
    connection: AsyncConnection,
    table: str,
    rows: Iterable[Sequence[object]],
    columns: Sequence[str] | None = None,
) -> None:
    """Copy rows of values to columns of a table, by default to all of them."""
    driver = (await connection.get_raw_connection()).driver_connection
    if driver is None:  # pragma: no cover - only after the connection was closed
        raise RuntimeError("the connection is closed")
    await driver.copy_records_to_table(table, records=rows, columns=columns)

"""The numbers of rows of large tables, kept beside the tables by triggers (ddl/row_counts.sql)."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ScalarSelect,
    cast,
    delete,
    func,
    insert,
    inspect,
    literal,
    select,
    table,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base, PrimaryKey

COUNTED_TABLES: Final = ("customers", "invoice_items", "payments")
"""The tables with the triggers."""


class RowCount(Base):
    """A difference in the number of rows of a table: add up the rows of the table.

    Each change adds a row, so that changes do not wait for each other; a job merges rows. A sum is
    consistent with the snapshot that reads it.
    """

    __tablename__ = "row_counts"

    id: Mapped[PrimaryKey]
    counted_table: Mapped[str] = mapped_column(index=True)
    number: Mapped[int] = mapped_column(BigInteger)


def row_count_of(counted: Any) -> ScalarSelect[int]:
    """Return the number of rows of a mapped table, one of `COUNTED_TABLES`."""
    name = inspect(counted).selectable.name
    if name not in COUNTED_TABLES:
        raise ValueError(f"the rows of {name} are not counted")
    total = cast(func.coalesce(func.sum(RowCount.number), 0), BigInteger)
    return select(total).where(RowCount.counted_table == name).scalar_subquery()


async def merge_row_counts(connection: AsyncConnection) -> int:
    """Merge the rows of each table into one; return how many fewer rows there are.

    Two runs at once would lock the same rows in different orders, so they take turns.
    """
    several = select(RowCount.counted_table).group_by(RowCount.counted_table)
    merged = (
        delete(RowCount)
        .where(RowCount.counted_table.in_(several.having(func.count() > 1)))
        .returning(RowCount.counted_table, RowCount.number)
        .cte("merged")
    )
    totals = select(merged.c.counted_table, func.sum(merged.c.number)).group_by(
        merged.c.counted_table
    )
    number = select(func.count()).select_from(RowCount)
    await connection.execute(_lock())
    before = (await connection.execute(number)).scalar_one()
    await connection.execute(insert(RowCount).from_select(["counted_table", "number"], totals))
    fewer: int = before - (await connection.execute(number)).scalar_one()
    return fewer


async def repair_row_counts(connection: AsyncConnection) -> dict[str, int]:
    """Compare the counts with the tables and repair them; return what each count lacked.

    One statement sees both at one moment and only adds rows: a change in progress is no drift. Two
    runs at once take turns, or both would add what is missing.
    """
    rows = [
        select(literal(name).label("counted_table"), func.count().label("number")).select_from(
            table(name)
        )
        for name in COUNTED_TABLES
    ]
    both = union_all(*rows, select(RowCount.counted_table, -RowCount.number)).subquery()
    missing = func.sum(both.c.number)
    drift = select(both.c.counted_table, missing).group_by(both.c.counted_table)
    repair = insert(RowCount).from_select(["counted_table", "number"], drift.having(missing != 0))
    await connection.execute(_lock())
    repaired = await connection.execute(repair.returning(RowCount.counted_table, RowCount.number))
    return {row.counted_table: row.number for row in repaired}


def _lock() -> Any:
    return select(func.pg_advisory_xact_lock(func.hashtext("row_counts")))

"""The lines of the documents of many invoices, made by two processes of PostgreSQL at once.

A statement that writes is executed by one process. So the lines are selected into a temporary
table, each half of the invoices by a process of its own.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    Dialect,
    MetaData,
    Select,
    Table,
    any_,
    cast,
    literal_column,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import DropTable

from app.invoices.repository.document_lines import select_batches, select_given

_HALVES: Final = ("first_half", "second_half")


def _select_half(name: str) -> Select[Any]:
    half = cast(literal_column(f"'{{{name}}}'"), ARRAY(BigInteger))

    def is_given(invoice_id: Any) -> ColumnElement[bool]:
        found: ColumnElement[bool] = invoice_id == any_(half)
        return found

    return select_batches(select_given(is_given).subquery("given"), is_given)


PREPARED_LINES: Final = Table(
    "prepared_document_lines",
    MetaData(),
    *(Column(each.name, each.type) for each in _select_half(_HALVES[0]).selected_columns),
)


@asynccontextmanager
async def prepared_lines(
    connection: AsyncConnection, invoice_ids: Sequence[int]
) -> AsyncIterator[None]:
    """Fill the temporary table `PREPARED_LINES`, and drop it at the end."""
    statement = _statement(connection.dialect)
    for place, name in enumerate(_HALVES):
        half = invoice_ids[place :: len(_HALVES)]
        statement = statement.replace(name, ",".join(map(str, half)))
    await connection.exec_driver_sql(statement)
    yield
    await connection.execute(DropTable(PREPARED_LINES))


@lru_cache(maxsize=1)
def _statement(dialect: Dialect) -> str:
    """Return the statement, which can have no parameters."""
    select = union_all(*map(_select_half, _HALVES))
    compiled = select.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    return f"CREATE TEMPORARY TABLE {PREPARED_LINES.name} ON COMMIT DROP AS {compiled}"

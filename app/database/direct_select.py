"""Selects that the driver executes by itself."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import asyncpg  # type: ignore[import-untyped]  # it has no types
from sqlalchemy import ARRAY, JSON, RowMapping
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from app.database.statements import AnySelect

_DIALECT: Final = dialect()  # type: ignore[no-untyped-call]
_DRIVER_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InternalClientError,
    asyncpg.InterfaceError,
    OSError,
)


class DirectSelect:
    """A select that the driver executes by itself, for the reads that most requests make.

    SQLAlchemy takes about 0.15 ms of CPU time for each execution, whatever the statement: as long
    as the rest of such a read. The parameters have types that the driver writes by itself.
    SQLAlchemy executes it within a transaction, and if it has columns of JSON, which the driver
    does not read, or parameters that each execution writes into the statement.
    """

    def __init__(self, statement: AnySelect) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        self.statement: Final = statement
        self._is_fixed = not (
            compiled.literal_execute_params
            or compiled.post_compile_params
            or any(_is_json(column.type) for column in statement.selected_columns)
        )
        self._text = str(compiled)
        self._constants = compiled.params
        self._names: Sequence[str] = compiled.positiontup or ()

    async def fetch(
        self, connection: AsyncConnection, values: Mapping[str, Any]
    ) -> Sequence[RowMapping]:
        """Return the rows, of which columns are read by name; raises the errors of `execute`."""
        pooled = connection.sync_connection and connection.sync_connection.connection
        adapted: Any = pooled and pooled.dbapi_connection
        if not (self._is_fixed and adapted and adapted.autocommit):
            return (await connection.execute(self.statement, dict(values))).mappings().all()
        driver = adapted.driver_connection
        arguments = [
            values[name] if name in values else self._constants[name] for name in self._names
        ]
        try:
            rows = await driver.fetch(self._text, *arguments)
        except _DRIVER_ERRORS as error:
            if driver.is_closed():
                # SQLAlchemy fails in the same way, and replaces the pool's older connections: after
                # a failover each of them would fail once, by its deadline if no reply comes.
                return (await connection.execute(self.statement, dict(values))).mappings().all()
            raise DBAPIError(self._text, None, error, hide_parameters=True) from error
        return cast(Sequence[RowMapping], rows)


def _is_json(kind: TypeEngine[Any]) -> bool:
    return isinstance(kind.item_type if isinstance(kind, ARRAY) else kind, JSON)

"""Lists that are limited to the rows a caller may see."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ScalarSelect
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.database.lists import PageQuery, Row, RowList, RowPage, RowQuery, read_one, read_page
from app.database.row_counts import row_count_of
from app.identity.access import Scope, visibility_of
from app.identity.caller import Caller


def count_of_all(counted: Any) -> Callable[[Scope, tuple[str, ...]], ScalarSelect[int] | None]:
    """Return the `known_count` of a list of all rows of a table whose rows are counted.

    It is known for callers that see everything, without a filter.
    """

    def known_count(scope: Scope, names: tuple[str, ...]) -> ScalarSelect[int] | None:
        return None if names or scope is not Scope.EVERYTHING else row_count_of(counted)

    return known_count


@dataclass(frozen=True, slots=True)
class VisibleRows:
    """A list, as each caller sees it."""

    rows: RowList[Any]
    visibility_of: Callable[[Caller, datetime], tuple[Hashable, dict[str, Any]]] = visibility_of
    """Returns a caller's scope, and the values of the parameters of the scope's condition."""

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields of a row."""
        return tuple(self.rows.columns)

    async def read_page(
        self, connection: AsyncConnection, caller: Caller, query: PageQuery
    ) -> RowPage:
        """Return a page of the rows that the caller may see."""
        return await read_page(connection, self.rows, self._visibility(caller), query)

    async def read_one(
        self, connection: AsyncConnection, caller: Caller, query: RowQuery
    ) -> Row | None:
        """Return one row; None if it does not exist, is not visible, or a filter excludes it."""
        return await read_one(connection, self.rows, self._visibility(caller), query)

    def _visibility(self, caller: Caller) -> tuple[Hashable, dict[str, Any]]:
        return self.visibility_of(caller, clock.now())

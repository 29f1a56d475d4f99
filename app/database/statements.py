"""Types and parts of statements, and options for sending them."""

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import ARRAY, ColumnElement, Select, any_, literal

AnySelect = Select[*tuple[Any, ...]]
"""A select of any columns."""

NO_STATEMENT_CACHE: Final = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
"""Connection arguments that disable named prepared statements, as a pooler requires."""


def equals_any(column: Any, values: Collection[Any]) -> ColumnElement[bool]:
    """Return the condition that a column equals one of the values, which are one parameter."""
    comparison: ColumnElement[bool] = column == any_(literal(list(values), ARRAY(column.type)))
    return comparison

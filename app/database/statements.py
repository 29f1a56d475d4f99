"""Types and parts of statements, and options for sending them."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import ARRAY, ColumnElement, Select, Text, any_, func, literal, literal_column
from sqlalchemy.dialects.postgresql import JSON, JSONB

AnySelect = Select[*tuple[Any, ...]]
"""A select of any columns."""

NO_STATEMENT_CACHE: Final = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
"""Connection arguments that disable named prepared statements, as a pooler requires."""
UTC: Final[ColumnElement[str]] = literal_column("'UTC'")
"""The name of the time zone."""


def equals_any(column: Any, values: Collection[Any]) -> ColumnElement[bool]:
    """Return the condition that a column equals one of the values, which are one parameter."""
    comparison: ColumnElement[bool] = column == any_(literal(list(values), ARRAY(column.type)))
    return comparison


def constant(value: str) -> ColumnElement[str]:
    """Return a text of the code, without quotes in it, as a part of a statement."""
    return literal_column(f"'{value}'", Text)


def json_object(values: Mapping[str, Any]) -> ColumnElement[Any]:
    """Return a JSON object of columns by the names of its members."""
    return func.jsonb_build_object(*_members(values), type_=JSONB)


def json_text_object(values: Mapping[str, Any]) -> ColumnElement[Any]:
    """Return an object as `json_object` does, but as text, for a larger object to be parsed."""
    return func.json_build_object(*_members(values), type_=JSON)


def _members(values: Mapping[str, Any]) -> list[ColumnElement[Any]]:
    return [part for name, value in values.items() for part in (constant(name), value)]

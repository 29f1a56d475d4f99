"""Comparisons of a column with a list that is one array parameter, of whatever length."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, any_, literal


def equals_any(column: Any, values: Collection[Any]) -> ColumnElement[bool]:
    """Return the condition that a column equals one of the values."""
    comparison: ColumnElement[bool] = column == any_(literal(list(values), ARRAY(column.type)))
    return comparison

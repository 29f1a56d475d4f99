"""Changes of every column of a table, whatever it means."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Integer,
    Numeric,
    String,
    func,
    literal_column,
    not_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ColumnElement

import app.models  # noqa: F401 - all tables
from app.database.base import Base

_WORDS: Final = {
    "billing_type": "'few'",
    "unit": "'half_month'",
    "payment_type": "'fixed_price'",
    "country": "'de'",
    "language": "'fr'",
    "tax_category": "'O'",
}
"""Other values of columns that take certain words."""


def changes_of(table_name: str) -> Mapping[str, ColumnElement[Any]]:
    """Return another value for each column, by its name.

    Keys refer to the last row of their table. Public UUIDs stay: nothing can change them.
    """
    table = Base.metadata.tables[table_name]
    return {
        column.name: _other(column)
        for column in table.columns
        if not column.primary_key and column.name != "uuid"
    }


def _other(column: Column[Any]) -> ColumnElement[Any]:
    other: ColumnElement[Any]
    if column.name in _WORDS:
        other = literal_column(_WORDS[column.name])
    elif column.foreign_keys:
        (key,) = column.foreign_keys
        other = select(func.max(key.column)).scalar_subquery()
    else:
        match column.type:
            case Boolean():
                other = not_(column)
            case DateTime():
                other = column + literal_column("interval '40 days'")
            case Numeric() | Integer():
                other = column + 1
            case JSONB():
                other = literal_column('\'{"agreement_number": "X"}\'::jsonb')
            case String():
                other = literal_column("'X'")
            case _:
                raise NotImplementedError(column.name)
    return other

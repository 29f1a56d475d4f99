"""Filters of lists: conditions by name, and the values of their parameters.

A statement is built once for each combination of condition names. The parameter of a condition has
the name of the condition, unless the declaration of its list says otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BindParameter,
    ColumnElement,
    Text,
    any_,
    bindparam,
    false,
    func,
)
from sqlalchemy.types import TypeEngine

NOTHING: Final = "nothing"
"""The condition that no row meets; every list has it."""


@dataclass(frozen=True, slots=True)
class FilterSet:
    """The names of conditions, which make the statement, and the values of its parameters."""

    names: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)


NO_FILTERS: Final = FilterSet()


def conditions_of(
    names: Sequence[str], conditions: Mapping[str, ColumnElement[bool]]
) -> list[ColumnElement[bool]]:
    """Return the conditions with these names, of those of a list and `NOTHING`."""
    return [false() if name == NOTHING else conditions[name] for name in names]


def equals(column: Any, name: str) -> ColumnElement[bool]:
    """Return the condition that a column equals the value of a filter."""
    condition: ColumnElement[bool] = column == bindparam(name)
    return condition


def is_any_of(column: Any, name: str) -> ColumnElement[bool]:
    """Return the condition that a text column equals one of the values of a filter."""
    condition: ColumnElement[bool] = column == any_(bindparam(name, type_=ARRAY(Text)))
    return condition


def contains_text(columns: Sequence[Any], name: str) -> ColumnElement[bool]:
    """Return the condition that one of the columns contains the text of a filter.

    Case is ignored, and `%` and `_` are no wildcards.
    """
    sought = func.lower(bindparam(name, type_=Text))
    condition: ColumnElement[bool] = false()
    for column in columns:
        condition |= func.strpos(func.lower(column), sought) > 0
    return condition


def literal_parameter(name: str, type_: TypeEngine[Any]) -> BindParameter[Any]:
    """Return a parameter whose value is written into the statement at each execution.

    PostgreSQL must know the bounds of a range to choose well between an index of that range and an
    index of the order.
    """
    return bindparam(name, type_=type_, literal_execute=True)

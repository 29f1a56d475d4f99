"""Lists of rows, declared once and read by the page.

A `RowList` declares the columns of a row, the conditions and orders by name, and the rows that a
scope may see. A statement is built once for each statement key: the combination of scope, filters,
order, fields and place of the page. Everything else is a parameter.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    RowMapping,
    ScalarSelect,
    Subquery,
    UnaryExpression,
    bindparam,
    func,
    inspect,
    literal_column,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import DirectSelect
from app.database.filter_set import NO_FILTERS, NOTHING, FilterSet, conditions_of
from app.database.statements import AnySelect

SHALLOW_OFFSET: Final = 1000
"""The largest offset of a shallow page. A deeper page is read from the nearer end of the list."""
ROW_UUID: Final = "row_uuid"
"""The parameter of `select_one` with the UUID of the row."""
_STATEMENTS: Final = 512
"""Statements that are cached."""
_KEY: Final = "row_key"
_COUNT: Final = "row_count"
_OFFSET: Final = "row_offset"

Row: TypeAlias = RowMapping
"""The columns of a row by name, for modules that import nothing of SQLAlchemy."""
ScopeT = TypeVar("ScopeT", bound=Hashable)
Visibility: TypeAlias = tuple[ScopeT, Mapping[str, Any]]
"""A scope, and the values of the parameters of its condition."""


@dataclass(frozen=True, slots=True)
class Join:
    """A table that statements join if one of their columns, conditions or orders is of it."""

    target: Any
    """A mapped class, a table or an alias."""
    on: ColumnElement[bool]
    optional: bool = False
    """Whether the row stays if it has no match there."""


@dataclass(frozen=True, slots=True, eq=False)
class RowList(Generic[ScopeT]):
    """The declaration of a list."""

    table: Any
    """The table with a row for each row of the list."""
    uuid: Any
    """The column by which one row is found."""
    columns: Mapping[str, Any]
    """For each field, a column, which the row then has under the field's name; or a tuple of
    columns, which keep their names."""
    visible: Callable[[ScopeT], ColumnElement[bool]]
    """Returns the condition that a row is within a scope."""
    default_order: tuple[str, ...]
    """Names in `orders` that end each order, `-` for descending. The last one is of a unique
    column, so that each order is total and pages do not overlap."""
    orders: Mapping[str, Any]
    """The columns of orders by name. Rows without a value come last, ascending and descending."""
    conditions: Mapping[str, ColumnElement[bool]] = field(default_factory=dict)
    """The conditions of filters, by the names in a `FilterSet`."""
    joins: Sequence[Join] = ()
    """In the order of joining."""
    known_count: Callable[[ScopeT, tuple[str, ...]], ScalarSelect[int] | None] = (
        lambda _scope, _names: None
    )
    """Returns the number of rows in a scope with these filters if it is stored beside the rows.

    The page is then read from an index of the order, so that neither needs all rows."""


@dataclass(frozen=True, slots=True)
class PageQuery:
    """The page of a list to read."""

    filters: FilterSet
    order: tuple[str, ...]
    fields: tuple[str, ...]
    """The fields whose columns are read."""
    size: int
    number: int | None
    """From 1; None for the last page."""
    is_deep: bool
    """Whether the page may lie beyond the shallow offset: two statements need a snapshot."""


@dataclass(frozen=True, slots=True)
class RowQuery:
    """The one row to read."""

    uuid: UUID
    fields: tuple[str, ...]
    filters: FilterSet = NO_FILTERS


@dataclass(frozen=True, slots=True)
class RowPage:
    """A page of a list at one moment."""

    count: int
    """The rows on all pages."""
    rows: Sequence[Row]
    """Empty beyond the last page."""


class _StatementKey(NamedTuple):
    """The values that distinguish the statement of one page from that of another."""

    rows: RowList[Any]
    scope: Any
    names: tuple[str, ...]
    """Of the filters."""
    order: tuple[str, ...]
    fields: tuple[str, ...]
    limit: int
    has_offset: bool
    backwards: bool = False


async def read_page(
    connection: AsyncConnection,
    rows: RowList[ScopeT],
    visibility: Visibility[ScopeT],
    query: PageQuery,
) -> RowPage:
    """Return a page, in one statement unless it is deep."""
    scope, parameters = visibility
    values = {**query.filters.values, **parameters}
    if query.is_deep:
        return await _read_deep_page(connection, rows, scope, values, query)
    names, size = query.filters.names, query.size
    values[_OFFSET] = offset = ((query.number or 1) - 1) * size
    key = _StatementKey(rows, scope, names, query.order, query.fields, size, offset > 0)
    found = await _counted_page(key).fetch(connection, values)
    first = found[0]
    return RowPage(first[_COUNT], [] if first[_KEY] is None else found)


async def _read_deep_page(
    connection: AsyncConnection,
    rows: RowList[ScopeT],
    scope: ScopeT,
    values: dict[str, Any],
    query: PageQuery,
) -> RowPage:
    names = query.filters.names
    count: int = (await connection.execute(_counted(rows, scope, names), values)).scalar_one()
    number = query.number or max(1, -(-count // query.size))
    offset = (number - 1) * query.size
    found: list[Row] = []
    if (size := min(query.size, count - offset)) > 0:
        after = count - offset - size
        backwards = after < offset
        values[_OFFSET] = skipped = min(after, offset)
        key = _StatementKey(
            rows, scope, names, query.order, query.fields, size, skipped > 0, backwards
        )
        found = list((await connection.execute(_page(key), values)).mappings())
        if backwards:
            found.reverse()
    return RowPage(count, found)


async def read_one(
    connection: AsyncConnection,
    rows: RowList[ScopeT],
    visibility: Visibility[ScopeT],
    query: RowQuery,
) -> Row | None:
    """Return the row with a UUID; None if it is not within the scope or a filter excludes it."""
    scope, parameters = visibility
    statement = select_one(rows, scope, query.filters.names, query.fields)
    values = {**query.filters.values, **parameters, ROW_UUID: query.uuid}
    return next(iter(await statement.fetch(connection, values)), None)


def select_rows(
    rows: RowList[Any], fields: tuple[str, ...], *conditions: ColumnElement[bool]
) -> AnySelect:
    """Return a select of the columns of the fields, without a scope."""
    return _select(rows, [*_columns(rows, fields).values()], conditions)


@lru_cache(_STATEMENTS)
def select_one(
    rows: RowList[Any], scope: Any, names: tuple[str, ...], fields: tuple[str, ...]
) -> DirectSelect:
    """Return the select of one row within a scope and the filters with these names."""
    columns = [*_columns(rows, fields).values()]
    conditions = [rows.uuid == bindparam(ROW_UUID), *_visible(rows, scope, names)]
    return DirectSelect(_select(rows, columns, conditions))


@lru_cache(_STATEMENTS)
def _counted(
    rows: RowList[Any], scope: Any, names: tuple[str, ...], order_names: tuple[str, ...] = ()
) -> AnySelect:
    """Return the select of one row: the number of rows of the list.

    The rows are counted in the CTE that has the columns of this order.
    """
    count = _known_count(rows, scope, names)
    if count is None:
        matching = _matching(rows, scope, names, order_names)
        count = select(func.count()).select_from(matching).scalar_subquery()
    return select(count.label(_COUNT))


@lru_cache(_STATEMENTS)
def _counted_page(key: _StatementKey) -> DirectSelect:
    """Return one row for each row of the page; a single row without a key if the page is empty."""
    rows = key.rows
    page = _page(key).subquery("page")
    order_names = _bare(rows, key.order)
    counted = _counted(rows, key.scope, key.names, order_names).subquery("counted")
    columns = [page.c[name] for name in (_KEY, *_columns(rows, key.fields))]
    return DirectSelect(
        select(*counted.c, *columns)
        .select_from(counted.outerjoin(page, true()))
        .order_by(*_ordering(key, page.c))
    )


@lru_cache(_STATEMENTS)
def _page(key: _StatementKey) -> AnySelect:
    rows = key.rows
    row_key = _row_key(rows)
    names = _bare(rows, key.order)
    columns = {_KEY: row_key.label(_KEY)}
    columns |= {_order_label(name): rows.orders[name].label(_order_label(name)) for name in names}
    columns |= _columns(rows, key.fields)
    page = [*columns.values()]
    conditions = _visible(rows, key.scope, key.names)
    order = _ordering(key)
    if _known_count(rows, key.scope, key.names) is None:
        matching = _matching(rows, key.scope, key.names, names).c
        keys = select(matching[_KEY]).order_by(*_ordering(key, matching))
    elif not key.has_offset and not _joins(rows, page):
        return _limited(_select(rows, page, conditions, order), key)
    else:
        # A deferred join: an index has the keys in the order, so that the rows before the page are
        # not read, nor joined.
        keys = _select(rows, [row_key.label(_KEY)], conditions, order)
    return _select(rows, page, [], order, _limited(keys, key).subquery("keys"))


@lru_cache(_STATEMENTS)
def _matching(
    rows: RowList[Any], scope: Any, names: tuple[str, ...], order_names: tuple[str, ...]
) -> CTE:
    """Return the keys and order columns of all matching rows, for the page and the count.

    Materialized: otherwise the planner may walk an index of the order, in the hope that the first
    matches come soon, where an index of a filter leads to the few matches at once.
    """
    columns = [_row_key(rows).label(_KEY)]
    columns += [rows.orders[name].label(_order_label(name)) for name in order_names]
    matching = _select(rows, columns, _visible(rows, scope, names))
    return matching.cte("matching").prefix_with("MATERIALIZED")


def _select(
    rows: RowList[Any],
    columns: Sequence[Any],
    conditions: Sequence[ColumnElement[bool]],
    order: Sequence[UnaryExpression[Any]] = (),
    keys: Subquery | None = None,
) -> AnySelect:
    """Return a select with those joins that it needs, of the rows with these keys or of all.

    The keys come first, because the planner keeps the order of more than eight joins.
    """
    statement: AnySelect = select(*columns).where(*conditions).order_by(*order)
    if keys is None:
        statement = statement.select_from(rows.table)
    else:
        statement = statement.select_from(keys).join(rows.table, _row_key(rows) == keys.c[_KEY])
    for join in _joins(rows, [*columns, *conditions, *(each.element for each in order)]):
        statement = statement.join(join.target, join.on, isouter=join.optional)
    return statement


def _joins(rows: RowList[Any], expressions: Iterable[Any]) -> list[Join]:
    """Return the joins that expressions need."""
    needed = _tables(expressions)
    joins: list[Join] = []
    for join in reversed(rows.joins):
        if inspect(join.target).selectable.name in needed:
            joins.insert(0, join)
            needed |= _tables([join.on])
    return joins


def _tables(expressions: Iterable[Any]) -> set[str]:
    """Return the names of the tables of expressions, without those of subqueries."""
    froms = select(*expressions).get_final_froms()
    return {getattr(each, "name", "") for each in froms}


def _visible(rows: RowList[Any], scope: Any, names: tuple[str, ...]) -> list[ColumnElement[bool]]:
    """Return the conditions of the scope and of the filters."""
    return [rows.visible(scope), *conditions_of(names, rows.conditions)]


def _known_count(
    rows: RowList[Any], scope: Any, names: tuple[str, ...]
) -> ScalarSelect[int] | None:
    return None if NOTHING in names else rows.known_count(scope, names)


def _columns(rows: RowList[Any], fields: tuple[str, ...]) -> dict[str, Any]:
    """Return the columns of the fields by name, without repetition."""
    columns: dict[str, Any] = {}
    for name in fields:
        column = rows.columns.get(name, ())
        if isinstance(column, tuple):
            columns |= {str(each.key): each for each in column}
        else:
            columns[name] = column.label(name)
    return columns


def _row_key(rows: RowList[Any]) -> Any:
    return rows.orders[rows.default_order[-1].removeprefix("-")]


def _order_label(name: str) -> str:
    return f"order_{name}"


def _bare(rows: RowList[Any], order: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of a total order without their signs and without repetition."""
    names = [name.removeprefix("-") for name in (*order, *rows.default_order)]
    return tuple(dict.fromkeys(names))


def _ordering(key: _StatementKey, columns: Any = None) -> list[UnaryExpression[Any]]:
    """Return the total order: the requested one, then the default.

    `columns` has the columns of the order under their labels; by default they are the list's own.
    """
    rows = key.rows
    ordering = []
    for name in (*key.order, *rows.default_order):
        bare = name.removeprefix("-")
        column = rows.orders[bare] if columns is None else columns[_order_label(bare)]
        descending = name.startswith("-") is not key.backwards
        each = column.desc() if descending else column.asc()
        if _may_be_null(rows, rows.orders[bare]):
            each = each.nulls_first() if key.backwards else each.nulls_last()
        ordering.append(each)
    return ordering


def _may_be_null(rows: RowList[Any], column: Any) -> bool:
    """Return whether a column may have no value; one of an optional table always may."""
    inner = [rows.table, *(join.target for join in rows.joins if not join.optional)]
    tables = {inspect(each).selectable for each in inner}
    return getattr(column, "table", None) not in tables or getattr(column, "nullable", True)


def _limited(statement: AnySelect, key: _StatementKey) -> AnySelect:
    # A literal, not a parameter: the planner chooses by the number of rows. Offsets are too many
    # for that, and the order has an index for each of them.
    limited = statement.limit(literal_column(str(key.limit)))
    return limited.offset(bindparam(_OFFSET, type_=BigInteger())) if key.has_offset else limited

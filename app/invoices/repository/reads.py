"""Reads of the invoices that a caller may see.

Each select starts from the condition of the caller's scope. A statement is built once for each
statement key: the combination of scope, filters, order, fields and place of the page. Everything
else is a parameter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    RowMapping,
    ScalarSelect,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import InvoiceState
from app.database.statements import AnySelect
from app.formats import parse_uuid
from app.identity.access import Scope, visibility_of, visible_customers
from app.identity.caller import Caller
from app.invoices.errors import InvoiceNotFound
from app.invoices.filter_set import (
    RUNNING,
    SUMMARY_CONDITIONS,
    WAITING,
    FilterSet,
    conditions,
    ordering,
)
from app.invoices.models import Invoice, InvoiceSummary, ReferenceRevision
from app.invoices.repository.columns import columns_of, join_customer

SHALLOW_OFFSET: Final = 1000
"""The largest offset of a shallow page. A deeper page is read from the nearer end of the list."""
_STATEMENTS: Final = 512
"""Statements that are cached."""

_order_columns = (Invoice.number, Invoice.year, Invoice.month, Invoice.created)
_version_columns = (Invoice.id, Invoice.revision)
_references = select(ReferenceRevision.revision).scalar_subquery().label("references")


class Version(NamedTuple):
    """One state of everything that a document shows of an invoice.

    Equal versions have equal documents.
    """

    invoice_id: int
    revision: int
    references: int
    """The `ReferenceRevision` at that time."""


@dataclass(frozen=True, slots=True)
class FoundInvoice:
    """An invoice that the caller may see, with the columns that operations on it need."""

    id: int
    """The key of its row."""
    uuid: UUID
    version: Version
    customer_id: int
    state: InvoiceState
    tax_percent: Decimal


VersionedRow = tuple[Version, RowMapping]
"""An invoice's version, and the columns of the fields that were asked for."""


@dataclass(frozen=True, slots=True)
class PageQuery:
    """The page of the list to read."""

    filters: FilterSet
    order: tuple[str, ...]
    fields: tuple[str, ...]
    """The documented fields whose columns are read."""
    size: int
    number: int | None
    """From 1; None for the last page."""
    is_deep: bool
    """Whether the page may lie beyond the shallow offset: then two statements need a snapshot."""


@dataclass(frozen=True, slots=True)
class InvoicePage:
    """A page of the list at one moment."""

    count: int
    """The invoices on all pages."""
    rows: Sequence[RowMapping]
    """Empty beyond the last page."""
    versions: tuple[Version, ...]


async def find_visible_invoice(
    connection: AsyncConnection, *, caller: Caller, uuid: str, filters: FilterSet
) -> FoundInvoice:
    """Return one invoice.

    Raises InvoiceNotFound if it does not exist, the caller may not see it, or a filter excludes it.
    """
    version, row = await read_invoice(
        connection, caller=caller, uuid=uuid, filters=filters, fields=()
    )
    return FoundInvoice(
        row["id"],
        row["uuid"],
        version,
        row["customer_id"],
        InvoiceState(row["state"]),
        row["tax_percent"],
    )


async def read_invoice(
    connection: AsyncConnection,
    *,
    caller: Caller,
    uuid: str,
    filters: FilterSet,
    fields: tuple[str, ...],
) -> VersionedRow:
    """Return one invoice with the columns of the fields; raises as `find_visible_invoice` does."""
    parsed = parse_uuid(uuid)
    if parsed is None:
        raise InvoiceNotFound
    scope, parameters = visibility_of(caller, clock.now())
    values = filters.values | parameters | {"uuid": parsed}
    statement = _one(scope, filters.names, fields)
    row = (await connection.execute(statement, values)).mappings().one_or_none()
    if row is None:
        raise InvoiceNotFound
    return Version(row["id"], row["revision"], row["references"]), row


async def read_page(
    connection: AsyncConnection, *, caller: Caller, query: PageQuery
) -> InvoicePage:
    """Return a page with the columns of the fields, in one statement unless the page is deep."""
    scope, parameters = visibility_of(caller, clock.now())
    values = query.filters.values | parameters
    if query.is_deep:
        return await _read_deep_page(connection, scope, values, query)
    offset = ((query.number or 1) - 1) * query.size
    key = _StatementKey(scope, query.filters.names, query.order, query.fields, query.size, offset)
    rows = (await connection.execute(_counted_page(key), values)).mappings().all()
    count, references = rows[0]["count"], rows[0]["references"]
    if rows[0]["id"] is None:
        rows = []
    versions = tuple([Version(row["id"], row["revision"], references) for row in rows])
    return InvoicePage(count, rows, versions)


async def _read_deep_page(
    connection: AsyncConnection, scope: Scope, values: dict[str, Any], query: PageQuery
) -> InvoicePage:
    counting = _count_and_references(scope, query.filters.names)
    count, references = (await connection.execute(counting, values)).one()
    number = query.number or max(1, -(-count // query.size))
    offset = (number - 1) * query.size
    rows: list[RowMapping] = []
    if (size := min(query.size, count - offset)) > 0:
        after = count - offset - size
        backwards = after < offset
        key = _StatementKey(
            scope,
            query.filters.names,
            query.order,
            query.fields,
            size,
            min(after, offset),
            backwards,
        )
        rows = list((await connection.execute(_page(key), values)).mappings())
        if backwards:
            rows.reverse()
    versions = tuple([Version(row["id"], row["revision"], references) for row in rows])
    return InvoicePage(count, rows, versions)


async def read_heads(
    connection: AsyncConnection, invoices: Sequence[int], fields: Sequence[str]
) -> dict[int, RowMapping]:
    """Return the columns of the fields of invoices, without their items, by the invoices' keys."""
    result = await connection.execute(_heads(tuple(fields)), {"invoices": list(invoices)})
    return {row["id"]: row for row in result.mappings()}


async def read_version(connection: AsyncConnection, invoice_id: int) -> Version:
    """Return the version of an existing invoice, without a check of access."""
    statement = select(*_version_columns, _references).where(Invoice.id == invoice_id)
    return Version(*(await connection.execute(statement)).one())


@lru_cache(_STATEMENTS)
def _heads(fields: tuple[str, ...]) -> AnySelect:
    columns = (Invoice.id, Invoice.tax_percent, *columns_of(fields))
    return join_customer(select(*columns), fields).where(
        Invoice.id == any_(bindparam("invoices", type_=ARRAY(BigInteger)))
    )


@lru_cache(_STATEMENTS)
def _one(scope: Scope, names: tuple[str, ...], fields: tuple[str, ...]) -> AnySelect:
    of_invoice = (Invoice.uuid, Invoice.customer_id, Invoice.state, Invoice.tax_percent)
    columns = _by_name(*_version_columns, *of_invoice, *columns_of(fields))
    return join_customer(select(*columns.values(), _references), fields).where(
        Invoice.uuid == bindparam("uuid"), *_visible(scope, names)
    )


@lru_cache(_STATEMENTS)
def _count_and_references(scope: Scope, names: tuple[str, ...]) -> AnySelect:
    return select(_count(scope, names).label("count"), _references)


class _StatementKey(NamedTuple):
    """What distinguishes the statement of one page from that of another."""

    scope: Scope
    names: tuple[str, ...]
    """Of the filters."""
    order: tuple[str, ...]
    fields: tuple[str, ...]
    limit: int
    offset: int
    backwards: bool = False


@lru_cache(_STATEMENTS)
def _counted_page(key: _StatementKey) -> AnySelect:
    """Return one row for each invoice of the page; a single row with nulls if the page is empty."""
    page = _page(key).subquery("page")
    columns = columns_of(key.fields)
    counted = _count_and_references(key.scope, key.names).subquery("counted")
    return (
        select(*counted.c, *(page.c[name] for name in _by_name(*_version_columns, *columns)))
        .select_from(counted.outerjoin(page, true()))
        .order_by(*ordering(key.order, page.c))
    )


def _page(key: _StatementKey) -> AnySelect:
    columns = _by_name(*_order_columns, *_version_columns, *columns_of(key.fields))
    order = ordering(key.order, backwards=key.backwards)
    statement = join_customer(select(*columns.values()), key.fields)
    visible = _visible(key.scope, key.names)
    if not _is_summarised(key.scope, key.names):
        all_matching = _matching(key.scope, key.names).c
        order_of_all = ordering(key.order, all_matching, backwards=key.backwards)
        matching = select(all_matching.number).order_by(*order_of_all)
        return statement.where(Invoice.number.in_(_limited(matching, key))).order_by(*order)
    if not key.offset:
        return _limited(statement.where(*visible).order_by(*order), key)
    # A deferred join: an index has the numbers in the default order, so that the rows before the
    # page are not read.
    numbers = _limited(select(Invoice.number).where(*visible).order_by(*order), key)
    return statement.where(Invoice.number.in_(numbers)).order_by(*order)


def _by_name(*columns: Any) -> dict[str, Any]:
    return {str(column.key): column for column in columns}


def _limited(statement: AnySelect, key: _StatementKey) -> AnySelect:
    # Literals, not parameters: the planner chooses by the number of rows.
    limited = statement.limit(literal_column(str(key.limit)))
    return limited.offset(literal_column(str(key.offset))) if key.offset else limited


def _visible(scope: Scope, names: tuple[str, ...]) -> list[ColumnElement[bool]]:
    """Return the conditions of the caller's scope and of the filters."""
    return [visible_customers(Invoice.customer_id, scope), *conditions(names)]


def _is_summarised(scope: Scope, names: tuple[str, ...]) -> bool:
    """Return whether the summaries have the count; filters of them rarely match few invoices."""
    return scope is Scope.EVERYTHING and {*SUMMARY_CONDITIONS, RUNNING} >= {*names}


@lru_cache(_STATEMENTS)
def _matching(scope: Scope, names: tuple[str, ...]) -> CTE:
    """Return the keys and order columns of all matching invoices, for the page and the count.

    Materialized: otherwise the planner may walk an index of the order, in the hope that the first
    matches come soon, where an index of a filter leads to the few matches at once.
    """
    matching = select(*_order_columns).where(*_visible(scope, names))
    return matching.cte("matching").prefix_with("MATERIALIZED")


def _count(scope: Scope, names: tuple[str, ...]) -> ScalarSelect[int]:
    counted: AnySelect
    if _is_summarised(scope, names):
        matching = [SUMMARY_CONDITIONS[name] for name in names if name in SUMMARY_CONDITIONS]
        number: ColumnElement[int] = func.coalesce(
            func.sum(InvoiceSummary.invoices), literal_column("0")
        )
        if RUNNING in names:
            # Few customers wait for their accounting to start.
            waiting = tuple(WAITING if name == RUNNING else name for name in names)
            others = select(func.count()).select_from(Invoice).where(*_visible(scope, waiting))
            number = number - others.scalar_subquery()
        counted = select(cast(number, BigInteger)).where(*matching)
    else:
        counted = select(func.count()).select_from(_matching(scope, names))
    return counted.scalar_subquery()

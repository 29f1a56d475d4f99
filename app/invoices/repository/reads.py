"""Invoices that a caller may see: every select of a request starts here.

A statement is built once for each combination of filters, order and fields; what varies from one
request to the next are its parameters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    RowMapping,
    ScalarSelect,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.api.pagination import Page, Paging
from app.billing.enums import InvoiceState
from app.customers.models import Customer
from app.database.statements import AnySelect
from app.formats import parse_uuid
from app.identity.access import Scope, scope_of, visibility_parameters, visible_customers
from app.identity.caller import Caller
from app.invoices.api.filters import InvoiceFilters, ListParameters, filter_set
from app.invoices.errors import InvoiceNotFound
from app.invoices.filter_set import (
    RUNNING,
    SUMMARY_CONDITIONS,
    WAITING,
    conditions,
    ordering,
)
from app.invoices.models import Invoice, InvoiceTally, ReferenceRevision
from app.invoices.rendering.rows import OF_CUSTOMER, Version, shown_columns

FORWARD = 1000
"""Invoices that are skipped at most to reach a page; a later one is sought from the nearer end."""
_STATEMENTS = 512
"""Statements that are kept, of those that differ by more than their parameters."""

_ordered = (Invoice.number, Invoice.year, Invoice.month, Invoice.created)
_always = (Invoice.id, Invoice.revision)
_references = select(ReferenceRevision.revision).scalar_subquery().label("references")


@dataclass(frozen=True, slots=True)
class FoundInvoice:
    """What an operation on one invoice needs to know of it at first."""

    version: Version
    customer_id: int
    state: InvoiceState
    tax_percent: Decimal

    @property
    def id(self) -> int:
        """The key of its row."""
        return self.version.invoice_id


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page of the list, all of it as of one moment."""

    page: Page
    rows: Sequence[RowMapping]
    """Each with the columns of the fields asked for, but for items."""
    versions: tuple[Version, ...]


class InvoiceRepository:
    """The invoices of one caller, over one connection."""

    def __init__(self, connection: AsyncConnection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller
        self._scope = scope_of(caller)

    def _narrowed(self, filters: InvoiceFilters) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Return the names of the filters, and the parameters of a statement with them."""
        matching = filter_set(filters)
        return matching.names, matching.values | visibility_parameters(self._caller, clock.now())

    async def _one(self, uuid: str, filters: InvoiceFilters, fields: tuple[str, ...]) -> RowMapping:
        parsed = parse_uuid(uuid)
        if parsed is None:
            raise InvoiceNotFound
        names, values = self._narrowed(filters)
        statement = _named(self._scope, names, fields)
        rows = await self._connection.execute(statement, values | {"uuid": parsed})
        found = rows.mappings().one_or_none()
        if found is None:
            raise InvoiceNotFound
        return found

    async def find(self, uuid: str, filters: InvoiceFilters) -> FoundInvoice:
        """Return what is first needed of an invoice.

        Raises InvoiceNotFound where there is none, the caller may not see it, or it does not match.
        """
        found = await self._one(uuid, filters, ())
        return FoundInvoice(
            Version.of(found, found["references"]),
            found["customer_id"],
            InvoiceState(found["state"]),
            found["tax_percent"],
        )

    async def retrieve(
        self, uuid: str, filters: InvoiceFilters, fields: tuple[str, ...]
    ) -> tuple[Version, RowMapping]:
        """Return one invoice with the columns of the fields; raises as `find` does."""
        found = await self._one(uuid, filters, fields)
        return Version.of(found, found["references"]), found

    async def page(self, parameters: ListParameters, fields: tuple[str, ...]) -> FoundPage:
        """Return a page with the columns of the fields; raises NotFound where there is none.

        One statement, but for a page far from the first: then the connection should be one that
        sees a single moment.
        """
        names, values = self._narrowed(parameters)
        if is_far(parameters):
            return await self._far_page(parameters, fields, names, values)
        size = parameters.page_size
        skipped = ((parameters.number or 1) - 1) * size
        statement = _counted_page(_Shape(self._scope, names, parameters.o, fields, size, skipped))
        rows = (await self._connection.execute(statement, values)).mappings().all()
        counted = rows[0]
        page = Page(parameters, counted["count"])
        return _found(page, rows if counted["id"] is not None else [], counted["references"])

    async def _far_page(
        self,
        parameters: ListParameters,
        fields: tuple[str, ...],
        names: tuple[str, ...],
        values: dict[str, Any],
    ) -> FoundPage:
        counting = _counted(self._scope, names)
        counted = (await self._connection.execute(counting, values)).mappings().one()
        page = Page(parameters, counted["count"])
        rows: list[RowMapping] = []
        if shown := min(page.size, page.count - page.offset):
            after = page.count - page.offset - shown
            backwards = after < page.offset
            skipped = min(after, page.offset)
            shape = _Shape(self._scope, names, parameters.o, fields, shown, skipped, backwards)
            statement = _page(shape)
            rows = list((await self._connection.execute(statement, values)).mappings())
            if backwards:
                rows.reverse()
        return _found(page, rows, counted["references"])


async def version_of(connection: AsyncConnection, invoice_id: int) -> tuple[Version, RowMapping]:
    """Return the version of an invoice that must exist; who may see it is the caller's matter."""
    statement = select(*_always, _references).where(Invoice.id == invoice_id)
    found = (await connection.execute(statement)).mappings().one()
    return Version.of(found, found["references"]), found


def is_far(paging: Paging) -> bool:
    """Tell whether a page may be far from the first, so that finding it takes two statements.

    Raises NotFound for what is no page number.
    """
    return paging.number is None or (paging.number - 1) * paging.page_size > FORWARD


def _found(page: Page, rows: Sequence[RowMapping], references: int) -> FoundPage:
    return FoundPage(page, rows, tuple(Version.of(row, references) for row in rows))


@lru_cache(_STATEMENTS)
def _named(scope: Scope, names: tuple[str, ...], fields: tuple[str, ...]) -> AnySelect:
    of_invoice = (Invoice.customer_id, Invoice.state, Invoice.tax_percent)
    columns = _by_name(*_always, *of_invoice, *shown_columns(fields))
    return _with_customers(select(*columns.values(), _references), fields).where(
        Invoice.uuid == bindparam("uuid"), *_visible(scope, names)
    )


@lru_cache(_STATEMENTS)
def _counted(scope: Scope, names: tuple[str, ...]) -> AnySelect:
    return select(_count(scope, names).label("count"), _references)


class _Shape(NamedTuple):
    """What makes the statement of one page another than that of a different page."""

    scope: Scope
    names: tuple[str, ...]
    """Of the filters."""
    order: tuple[str, ...]
    fields: tuple[str, ...]
    size: int
    skipped: int
    backwards: bool = False


@lru_cache(_STATEMENTS)
def _counted_page(shape: _Shape) -> AnySelect:
    """Return one row for each invoice of the page, or one with nulls where there is none."""
    page = _page(shape).subquery("page")
    shown = shown_columns(shape.fields)
    counted = _counted(shape.scope, shape.names).subquery("counted")
    return (
        select(*counted.c, *(page.c[name] for name in _by_name(*_always, *shown)))
        .select_from(counted.outerjoin(page, true()))
        .order_by(*ordering(shape.order, page.c))
    )


def _page(shape: _Shape) -> AnySelect:
    columns = _by_name(*_ordered, *_always, *shown_columns(shape.fields))
    order = ordering(shape.order, backwards=shape.backwards)
    statement = _with_customers(select(*columns.values()), shape.fields)
    visible = _visible(shape.scope, shape.names)
    if not _is_tallied(shape.scope, shape.names):
        of = _matching(shape.scope, shape.names).c
        matching = select(of.number).order_by(*ordering(shape.order, of, backwards=shape.backwards))
        return statement.where(Invoice.number.in_(_limited(matching, shape))).order_by(*order)
    if not shape.skipped:
        return _limited(statement.where(*visible).order_by(*order), shape)
    # First only the numbers, which an index has in the default order: a late page then costs no
    # look at the rows before it.
    numbers = _limited(select(Invoice.number).where(*visible).order_by(*order), shape)
    return statement.where(Invoice.number.in_(numbers)).order_by(*order)


def _by_name(*columns: Any) -> dict[str, Any]:
    return {str(column.key): column for column in columns}


def _limited(statement: AnySelect, shape: _Shape) -> AnySelect:
    # As numbers, not as parameters: how many rows are wanted decides how they are sought.
    limited = statement.limit(literal_column(str(shape.size)))
    return limited.offset(literal_column(str(shape.skipped))) if shape.skipped else limited


def _visible(scope: Scope, names: tuple[str, ...]) -> list[ColumnElement[bool]]:
    """Return the conditions of what the caller may see and the filters match."""
    return [visible_customers(Invoice.customer_id, scope), *conditions(names)]


def _is_tallied(scope: Scope, names: tuple[str, ...]) -> bool:
    """Tell whether tallies say how many match; such filters rarely leave but few."""
    return scope is Scope.EVERYTHING and {*SUMMARY_CONDITIONS, RUNNING} >= {*names}


@lru_cache(_STATEMENTS)
def _matching(scope: Scope, names: tuple[str, ...]) -> CTE:
    """Return all that match, with what orders them.

    By itself, since an index that leads to few is not left for one that has them in order, in the
    hope that the first of them come soon. It is the same for the page and the count.
    """
    matching = select(*_ordered).where(*_visible(scope, names))
    return matching.cte("matching").prefix_with("MATERIALIZED")


def _count(scope: Scope, names: tuple[str, ...]) -> ScalarSelect[int]:
    counted: AnySelect
    if _is_tallied(scope, names):
        tallied = [SUMMARY_CONDITIONS[name] for name in names if name in SUMMARY_CONDITIONS]
        number: ColumnElement[int] = func.coalesce(
            func.sum(InvoiceTally.invoices), literal_column("0")
        )
        if RUNNING in names:
            # Few wait for their accounting to start.
            waiting = tuple(WAITING if name == RUNNING else name for name in names)
            others = select(func.count()).select_from(Invoice).where(*_visible(scope, waiting))
            number = number - others.scalar_subquery()
        counted = select(cast(number, BigInteger)).where(*tallied)
    else:
        counted = select(func.count()).select_from(_matching(scope, names))
    return counted.scalar_subquery()


def _with_customers(statement: AnySelect, fields: tuple[str, ...]) -> AnySelect:
    if OF_CUSTOMER.isdisjoint(fields):
        return statement.select_from(Invoice)
    return statement.join(Customer, Customer.id == Invoice.customer_id)

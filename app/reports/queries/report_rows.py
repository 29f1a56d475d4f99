"""The rows of report files: the items or the invoices of a month.

Issued invoices have the names and details of their documents, others those of today.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    RowMapping,
    and_,
    collate,
    exists,
    func,
    literal_column,
    select,
    true,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.periods import Period
from app.customers.models import Customer
from app.database.statements import AnySelect
from app.invoices.filter_set import accounting_condition
from app.invoices.models import Invoice, InvoiceDocument, InvoiceItem
from app.invoices.queries import items
from app.invoices.repository import item_sources
from app.invoices.repository.document_parties import agreement_number

_BATCH_ROWS: Final = 1000


class ReportRows(StrEnum):
    """The subject of a row of a report: an item of an invoice, or a customer with its invoice."""

    ITEMS = "items"
    CUSTOMERS = "customers"


_shown_item = exists().where(InvoiceItem.invoice_id == Invoice.id, items.is_shown)
_INVOICE: Final[tuple[Any, ...]] = (
    Invoice.id.label("invoice_id"),
    Customer.uuid.label("customer_uuid"),
    Invoice.uuid.label("invoice_uuid"),
    Invoice.number.label("invoice_number"),
    Invoice.state.label("invoice_state"),
    Invoice.year.label("invoice_year"),
    Invoice.month.label("invoice_month"),
    Invoice.invoice_date,
    Invoice.due_date,
    Invoice.reference_number,
    Invoice.tax_percent,
    Invoice.total_price.label("invoice_price"),
    Invoice.total_cost.label("invoice_total"),
)
_CUSTOMER: Final[Mapping[str, ColumnElement[Any]]] = {
    "customer_name": Customer.__table__.c.name,
    "registration_code": Customer.__table__.c.registration_code,
    "agreement_number": agreement_number,
    "vat_code": Customer.__table__.c.vat_code,
    "country": Customer.__table__.c.country,
}
"""The values of the customer of an invoice that is not issued."""
_buyer = InvoiceDocument.content["buyer"]
_FROZEN_CUSTOMER: Final[Mapping[str, ColumnElement[Any]]] = {
    "customer_name": _buyer["name"].astext,
    "registration_code": _buyer["registration_code"].astext,
    "agreement_number": InvoiceDocument.content["agreement_number"].astext,
    "vat_code": _buyer["vat_code"].astext,
    "country": _buyer["country"].astext,
}
_ITEM: Final = (
    "project_uuid", "project_name", "name", "article_code", "price", "unit_price", "quantity",
    "unit", "measured_unit", "start", "end", "credit", "resource_uuid", "resource_name",
    "offering_name",
)  # fmt: skip
_ORDERED_BY: Final = ("own_project_name", "id")
"""The columns of an item by which rows are ordered, besides."""


async def stream_report_rows(
    connection: AsyncConnection, period: Period, rows: ReportRows
) -> AsyncIterator[Sequence[RowMapping]]:
    """Yield the rows of a month in batches, by customer.

    Archived customers, customers whose accounting has not started, invoices without items, and
    items that cost nothing are left out.
    """
    statement = _select(period, rows).execution_options(yield_per=_BATCH_ROWS)
    result = await connection.stream(statement, {"now": clock.now()})
    async for batch in result.mappings().partitions():
        yield batch


async def count_report_rows(connection: AsyncConnection, period: Period, rows: ReportRows) -> int:
    """Return how many rows `stream_report_rows` yields."""
    invoices = _of_month(select(func.count()), period)
    if rows is ReportRows.CUSTOMERS:
        statement = invoices.where(_shown_item)
    else:  # a document has as many items as its invoice
        shown = and_(InvoiceItem.invoice_id == Invoice.id, items.is_shown)
        statement = invoices.join(InvoiceItem, shown)
    return int((await connection.execute(statement, {"now": clock.now()})).scalar_one())


def _of_month(statement: Any, period: Period) -> Any:
    """Select the invoices of a month with their customers."""
    return (
        statement.select_from(Invoice)
        .join(Customer, Customer.id == Invoice.customer_id)
        .where(
            Invoice.year == period.year,
            Invoice.month == period.month,
            ~Customer.archived,
            accounting_condition(True),
        )
    )


def _select(period: Period, rows: ReportRows) -> AnySelect:
    """Select the rows: those of issued invoices are of their documents."""
    parts = _select_items(period) if rows is ReportRows.ITEMS else _select_customers(period)
    row = union_all(*parts).subquery("row")
    by_customer = (collate(row.c.customer_name, item_sources.CODE_POINTS), row.c.invoice_id)
    by_item = item_sources.item_order(row) if rows is ReportRows.ITEMS else ()
    return select(row).order_by(*by_customer, *by_item)


def _select_items(period: Period) -> Sequence[AnySelect]:
    def part(source: FromClause, customer: Mapping[str, ColumnElement[Any]]) -> Any:
        # Beyond eight joins the planner keeps their order, and would read the items of all months.
        # With an offset it plans the items of one invoice on their own.
        of_invoice = source.c.invoice_id == Invoice.id
        shown = select(source).where(of_invoice, item_sources.is_shown_in(source))
        items_of_invoice = shown.offset(literal_column("0")).correlate(Invoice).lateral("item")
        item = items_of_invoice.c
        columns = [
            *_INVOICE,
            *_labelled(customer),
            *(item[name] for name in (*_ITEM, *_ORDERED_BY)),
            item.seller_name.label("provider_name"),
        ]
        return _of_month(select(*columns), period).join(items_of_invoice, true())

    return [
        part(item_sources.LIVE, _CUSTOMER).where(Invoice.document_version.is_(None)),
        part(item_sources.FROZEN, _FROZEN_CUSTOMER).join(
            InvoiceDocument, item_sources.is_present_document
        ),
    ]


def _select_customers(period: Period) -> Sequence[AnySelect]:
    # The items of an issued invoice do not change, so that their sums are those of the document.
    of_invoice = (InvoiceItem.invoice_id == Invoice.id, items.is_shown)
    number = select(func.count()).where(*of_invoice).correlate(Invoice)
    compensations = (
        select(func.coalesce(func.sum(InvoiceItem.price), 0))
        .where(*of_invoice, InvoiceItem.credit)
        .correlate(Invoice)
    )

    def part(customer: Mapping[str, ColumnElement[Any]]) -> Any:
        columns = [
            *_INVOICE,
            *_labelled(customer),
            number.scalar_subquery().label("item_count"),
            compensations.scalar_subquery().label("compensations"),
        ]
        return _of_month(select(*columns), period).where(_shown_item)

    return [
        part(_CUSTOMER).where(Invoice.document_version.is_(None)),
        part(_FROZEN_CUSTOMER).join(InvoiceDocument, item_sources.is_present_document),
    ]


def _labelled(columns: Mapping[str, ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    return [column.label(name) for name, column in columns.items()]

"""The rows of report files: the items or the invoices of a month."""

from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import RowMapping, collate, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from app import clock
from app.billing.periods import Period
from app.catalogue.models import Offering, Resource
from app.customers.models import Customer, Project
from app.database.statements import AnySelect
from app.invoices.filter_set import accounting_condition
from app.invoices.models import Invoice, InvoiceItem
from app.invoices.queries import items
from app.invoices.repository import item_sources

_BATCH_ROWS: Final = 1000


class ReportRows(StrEnum):
    """The subject of a row of a report: an item of an invoice, or a customer with its invoice."""

    ITEMS = "items"
    CUSTOMERS = "customers"


_seller = aliased(Customer)
_shown_item = exists().where(InvoiceItem.invoice_id == Invoice.id, items.is_shown)
_CUSTOMER_AND_INVOICE: Final[tuple[Any, ...]] = (
    Customer.uuid.label("customer_uuid"),
    Customer.name.label("customer_name"),
    Customer.registration_code,
    Customer.agreement_number,
    Customer.vat_code,
    Customer.country,
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
_ITEM: Final[tuple[Any, ...]] = (
    func.coalesce(InvoiceItem.project_uuid, Project.uuid).label("project_uuid"),
    item_sources.project_name.label("project_name"),
    InvoiceItem.name,
    InvoiceItem.article_code,
    InvoiceItem.price,
    InvoiceItem.unit_price,
    InvoiceItem.quantity,
    InvoiceItem.unit,
    InvoiceItem.measured_unit,
    InvoiceItem.start,
    InvoiceItem.end,
    InvoiceItem.credit,
    Resource.uuid.label("resource_uuid"),
    Resource.name.label("resource_name"),
    Offering.name.label("offering_name"),
    _seller.name.label("provider_name"),
)


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
    counted = _select(period, rows).order_by(None).subquery()
    statement = select(func.count()).select_from(counted)
    return int((await connection.execute(statement, {"now": clock.now()})).scalar_one())


def _select(period: Period, rows: ReportRows) -> AnySelect:
    invoices = [
        Invoice.year == period.year,
        Invoice.month == period.month,
        ~Customer.archived,
        accounting_condition(True),
    ]
    by_customer = (collate(Customer.name, item_sources.CODE_POINTS), Invoice.id)
    if rows is ReportRows.CUSTOMERS:
        of_invoice = (InvoiceItem.invoice_id == Invoice.id, items.is_shown)
        number = select(func.count()).where(*of_invoice).correlate(Invoice)
        compensations = (
            select(func.coalesce(func.sum(InvoiceItem.price), 0))
            .where(*of_invoice, InvoiceItem.credit)
            .correlate(Invoice)
        )
        return (
            select(
                *_CUSTOMER_AND_INVOICE,
                number.scalar_subquery().label("item_count"),
                compensations.scalar_subquery().label("compensations"),
            )
            .select_from(Invoice)
            .join(Customer, Customer.id == Invoice.customer_id)
            .where(*invoices, _shown_item)
            .order_by(*by_customer)
        )
    return (
        select(*_CUSTOMER_AND_INVOICE, *_ITEM)
        .select_from(Invoice)
        .join(Customer, Customer.id == Invoice.customer_id)
        .join(InvoiceItem, InvoiceItem.invoice_id == Invoice.id)
        .outerjoin(Project, Project.id == InvoiceItem.project_id)
        .outerjoin(Resource, Resource.id == InvoiceItem.resource_id)
        .outerjoin(Offering, Offering.id == item_sources.offering_id)
        .outerjoin(_seller, _seller.id == Offering.customer_id)
        .where(*invoices, items.is_shown)
        .order_by(*by_customer, *items.ITEM_ORDER)
    )

"""Reads an invoice as its customer sees it, with two statements for any size."""

from dataclasses import fields, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Text,
    and_,
    case,
    cast,
    collate,
    false,
    func,
    literal,
    literal_column,
    not_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from app.billing.currencies import Currency
from app.billing.enums import BillingUnit
from app.billing.periods import Period
from app.catalogue.models import Offering, Resource
from app.customers.models import Customer, Project
from app.database.engine import Database
from app.documents.formats import MAX_TEXT_LENGTH
from app.documents.printed_lines import InvoiceLine, LineResource
from app.invoices.models import Invoice, InvoiceItem
from app.invoices.queries import items
from app.notifications import invoice_view
from app.notifications.invoice_view import InvoiceView

MAX_LISTED_ITEMS = 5_000
"""The most items that are listed one by one. An ordinary item takes about 400 bytes of a message,
so that this many make 2 MB; many mail servers refuse 10 MB."""
MAX_SUMMARY_LINES = 1_000
"""The most lines of a summary; the rest is summed up in one more line of each kind."""
_REST = "Further items"

_UNITS = {
    BillingUnit.MONTH: "month",
    BillingUnit.QUARTER: "quarter",
    BillingUnit.HALF_MONTH: "half month",
    BillingUnit.DAY: "day",
    BillingUnit.HOUR: "hour",
    BillingUnit.QUANTITY: "",
}

_CUSTOMER = [field.name for field in fields(invoice_view.CustomerDetails)]
_item = InvoiceItem.__table__.c


def _cut(text: ColumnElement[str]) -> ColumnElement[str]:
    """Cut a text to one character more than is shown, which marks it as truncated."""
    return func.left(text, MAX_TEXT_LENGTH + 1)


_shown_project = _cut(items.project_name)
_project_order = collate(_shown_project, items.CODE_POINTS).asc().nulls_last()
_is_provider_tax = and_(
    not_(_item.credit),
    func.coalesce(func.lower(_item.details["charge_category"].astext) == "tax", false()),
)
"""Whether an item is tax charged by the provider: a FOCUS row with ChargeCategory `Tax`."""


async def read_invoice_view(
    database: Database, invoice_id: int, currency: Currency, *, listed_items: int = MAX_LISTED_ITEMS
) -> InvoiceView:
    """Read an invoice with its customer and lines in one snapshot.

    `currency` is the deployment's. An invoice with more than `listed_items` items has one line per
    project and offering, and per project and name of compensations. Items without project come
    last.
    """
    async with database.snapshot() as connection:
        invoice = (await connection.execute(_select_invoice(invoice_id))).one()
        values = dict(invoice._mapping)
        summed_up = values["items"] > listed_items
        read_lines = _read_summary if summed_up else _read_items
        lines = await read_lines(connection, invoice_id, invoice, currency)
    customer = invoice_view.CustomerDetails(**{name: values.pop(name) for name in _CUSTOMER})
    period = Period(values.pop("year"), values.pop("month"))
    return InvoiceView(**values, period=period, customer=customer, lines=lines, summed_up=summed_up)


def _select_invoice(invoice_id: int) -> Select[*tuple[Any, ...]]:
    is_hidden = ~items.is_shown
    exact_cost = func.sum(_item.unit_price * _item.quantity)
    counted = (
        select(
            func.count().filter(~is_hidden).label("items"),
            func.coalesce(func.sum(_item.price).filter(_item.credit), 0).label("compensations"),
            func.sum(_item.price).filter(_is_provider_tax).label("provider_tax"),
            func.count().filter(is_hidden).label("hidden_items"),
            func.coalesce(exact_cost.filter(is_hidden), 0).label("hidden_cost"),
        )
        .where(_item.invoice_id == invoice_id)
        .subquery()
    )
    return (
        select(
            Invoice.number,
            Invoice.state,
            Invoice.year,
            Invoice.month,
            Invoice.invoice_date,
            Invoice.due_date,
            Invoice.payment_url,
            Invoice.reference_number,
            Invoice.tax_percent,
            Invoice.total_price.label("price"),
            Invoice.total_cost.label("total"),
            *counted.c,
            *(getattr(Customer, name) for name in _CUSTOMER),
        )
        .join(Customer, Customer.id == Invoice.customer_id)
        .join(counted, literal(True))
        .where(Invoice.id == invoice_id)
    )


async def _read_items(
    connection: AsyncConnection, invoice_id: int, invoice: Row[Any], currency: Currency
) -> list[InvoiceLine]:
    rows = await connection.execute(
        select(
            _shown_project.label("project"),
            _cut(_item.name).label("name"),
            func.coalesce(
                cast(Resource.uuid, Text), _cut(_item.details["resource_uuid"].astext), ""
            ).label("resource_uuid"),
            _cut(func.coalesce(Resource.name, _item.details["resource_name"].astext, "")).label(
                "resource_name"
            ),
            _item.price,
            _item.credit,
            _is_provider_tax.label("is_provider_tax"),
            _item.quantity,
            _item.unit,
            _cut(_item.measured_unit).label("measured_unit"),
            _item.unit_price,
            _item.start,
            _item.end,
        )
        .select_from(InvoiceItem)
        .outerjoin(Project, Project.id == _item.project_id)
        .outerjoin(Resource, Resource.id == _item.resource_id)
        .where(_item.invoice_id == invoice_id, items.is_shown)
        .order_by(_project_order, *items.ORDER_WITHIN_PROJECT)
    )
    return [
        InvoiceLine(
            project=row.project,
            name=row.name,
            price=row.price,
            tax_percent=invoice.tax_percent,
            currency=currency,
            resource=(
                LineResource(row.resource_uuid, row.resource_name) if row.resource_name else None
            ),
            credit=row.credit,
            is_provider_tax=row.is_provider_tax,
            quantity=row.quantity,
            unit=row.measured_unit or _UNITS[BillingUnit(row.unit)],
            unit_price=row.unit_price,
            start=row.start.date(),
            end=row.end.date(),
        )
        for row in rows
    ]


async def _read_summary(
    connection: AsyncConnection, invoice_id: int, invoice: Row[Any], currency: Currency
) -> list[InvoiceLine]:
    item_offering = aliased(Offering)
    resource_offering = aliased(Offering)
    offering = func.coalesce(resource_offering.name, item_offering.name, literal_column("''"))
    # Compensations keep their own name, which states their reason.
    name = _cut(case((_item.credit, _item.name), else_=offering))
    groups = (_shown_project, name, _item.credit, _is_provider_tax)
    statement = (
        select(
            _shown_project.label("project"),
            name.label("name"),
            _item.credit,
            _is_provider_tax.label("is_provider_tax"),
            func.sum(_item.price).label("price"),
            func.count().label("item_count"),
        )
        .select_from(InvoiceItem)
        .outerjoin(Project, Project.id == _item.project_id)
        .outerjoin(Resource, Resource.id == _item.resource_id)
        .outerjoin(resource_offering, resource_offering.id == Resource.offering_id)
        .outerjoin(item_offering, item_offering.id == _item.offering_id)
        .where(_item.invoice_id == invoice_id, items.is_shown)
        .group_by(*groups)
        .order_by(_project_order, collate(name, items.CODE_POINTS), _item.credit, _is_provider_tax)
    )
    lines: list[InvoiceLine] = []
    rest: dict[str, InvoiceLine] = {}
    # Read in batches: each compensation may have its own name.
    async with connection.stream(
        statement, execution_options={"yield_per": MAX_SUMMARY_LINES}
    ) as rows:
        async for row in rows:
            line = InvoiceLine(
                project=row.project,
                name=row.name or "Other services",
                price=row.price,
                tax_percent=invoice.tax_percent,
                currency=currency,
                credit=row.credit,
                is_provider_tax=row.is_provider_tax,
                items=row.item_count,
            )
            if len(lines) < MAX_SUMMARY_LINES:
                lines.append(line)
            else:
                _add_to_rest(rest, line)
    return [*lines, *rest.values()]


def _add_to_rest(rest: dict[str, InvoiceLine], line: InvoiceLine) -> None:
    """Add a line to the line that sums up the rest of its kind."""
    if line.credit:
        name = "Compensations"
    elif line.is_provider_tax:
        name = "Taxes"
    else:
        name = "Services"
    total = rest.get(name)
    rest[name] = replace(
        line,
        project=_REST,
        name=name,
        price=line.price + (total.price if total else 0),
        items=line.items + (total.items if total else 0),
    )

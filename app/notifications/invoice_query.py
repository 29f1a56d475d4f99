"""Reads an invoice as its customer sees it, with two statements for any size."""

from dataclasses import fields, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Row,
    Select,
    Text,
    case,
    cast,
    collate,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.currencies import Currency
from app.billing.enums import BillingUnit
from app.billing.periods import Period
from app.customers.models import Customer
from app.database.engine import Database
from app.documents.formats import MAX_TEXT_LENGTH
from app.documents.printed_lines import InvoiceLine, LineResource
from app.invoices.models import Invoice, InvoiceDocument, InvoiceItem
from app.invoices.queries import items
from app.invoices.repository import item_sources
from app.invoices.repository.item_sources import CODE_POINTS
from app.notifications import invoice_view
from app.notifications.invoice_view import InvoiceView
from app.settings import IssuerDetails

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
        source = item_sources.source_of(values.pop("document_version") is not None)
        lines = await read_lines(connection, source, invoice, currency)
    del values["id"]
    customer = invoice_view.CustomerDetails(**{name: values.pop(name) for name in _CUSTOMER})
    period = Period(values.pop("year"), values.pop("month"))
    issuer = values.pop("issuer")
    return InvoiceView(
        **values,
        period=period,
        customer=customer,
        issuer=None if issuer is None else IssuerDetails.model_validate_json(issuer),
        lines=lines,
        summed_up=summed_up,
    )


def _select_invoice(invoice_id: int) -> Select[*tuple[Any, ...]]:
    is_hidden = ~items.is_shown
    exact_cost = func.sum(_item.unit_price * _item.quantity)
    is_provider_tax = item_sources.is_provider_tax(InvoiceItem.__table__)
    counted = (
        select(
            func.count().filter(~is_hidden).label("items"),
            func.coalesce(func.sum(_item.price).filter(_item.credit), 0).label("compensations"),
            func.sum(_item.price).filter(is_provider_tax).label("provider_tax"),
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
            Invoice.id,
            Invoice.document_version,
            InvoiceDocument.content["api"]["issuer_details"].astext.label("issuer"),
            *(
                func.coalesce(
                    InvoiceDocument.content["buyer"][name].astext, getattr(Customer, name)
                ).label(name)
                for name in _CUSTOMER
            ),
        )
        .join(Customer, Customer.id == Invoice.customer_id)
        .outerjoin(InvoiceDocument, item_sources.is_present_document)
        .join(counted, literal(True))
        .where(Invoice.id == invoice_id)
    )


async def _read_items(
    connection: AsyncConnection, source: FromClause, invoice: Row[Any], currency: Currency
) -> list[InvoiceLine]:
    item = source.c
    rows = await connection.execute(
        select(
            _cut(item.project_name).label("project"),
            _cut(item.name).label("name"),
            func.coalesce(
                cast(item.resource_uuid, Text), _cut(item.details["resource_uuid"].astext), ""
            ).label("resource_uuid"),
            _cut(func.coalesce(item.resource_name, item.details["resource_name"].astext, "")).label(
                "resource_name"
            ),
            item.price,
            item.credit,
            item_sources.is_provider_tax(source).label("is_provider_tax"),
            item.quantity,
            item.unit,
            _cut(item.measured_unit).label("measured_unit"),
            item.unit_price,
            item.start,
            item.end,
        )
        .where(item.invoice_id == invoice.id, item_sources.is_shown_in(source))
        .order_by(
            collate(_cut(item.project_name), CODE_POINTS).asc().nulls_last(),
            collate(item.name, CODE_POINTS),
            item.id,
        )
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
    connection: AsyncConnection, source: FromClause, invoice: Row[Any], currency: Currency
) -> list[InvoiceLine]:
    item = source.c
    # Compensations keep their own name, which states their reason. Other items without an
    # offering have no name.
    name = case(
        (item.credit, item.name),
        (item.offering_uuid.is_(None), literal_column("''")),
        else_=item.offering_name,
    )
    shown = (
        select(
            _cut(item.project_name).label("project"),
            _cut(name).label("name"),
            item.credit,
            item_sources.is_provider_tax(source).label("is_provider_tax"),
            item.price,
        )
        .where(item.invoice_id == invoice.id, item_sources.is_shown_in(source))
        .subquery("line")
        .c
    )
    statement = (
        select(
            shown.project,
            shown.name,
            shown.credit,
            shown.is_provider_tax,
            func.sum(shown.price).label("price"),
            func.count().label("item_count"),
        )
        .group_by(shown.project, shown.name, shown.credit, shown.is_provider_tax)
        .order_by(
            collate(shown.project, CODE_POINTS).asc().nulls_last(),
            collate(shown.name, CODE_POINTS),
            shown.credit,
            shown.is_provider_tax,
        )
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

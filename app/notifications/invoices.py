"""Reading an invoice for its customer: two statements, whatever its size."""

from typing import Any

from sqlalchemy import Row, Select, collate, func, literal, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from app.billing.periods import Period
from app.billing.vocabulary import BillingUnit
from app.catalogue.tables import Offering, Resource
from app.customers.tables import Customer, Project
from app.database.engine import Database
from app.invoices.tables import Invoice, InvoiceItem
from app.notifications import statement
from app.notifications.statement import Line, Statement

LISTED_ITEMS = 5_000
"""The most items that are listed one by one. An ordinary item takes about 400 bytes of a message,
so that this many make 2 MB; many mail servers refuse 10 MB, and readers give up before."""
SUMMED_LINES = 1_000
"""The most lines of a summary; what is beyond them is one more line."""

_UNITS = {
    BillingUnit.MONTH: "month",
    BillingUnit.QUARTER: "quarter",
    BillingUnit.HALF_MONTH: "half month",
    BillingUnit.DAY: "day",
    BillingUnit.HOUR: "hour",
    BillingUnit.QUANTITY: "",
}

_item = InvoiceItem.__table__.c
_shown_project = func.coalesce(
    func.nullif(InvoiceItem.project_name, ""), Project.name, literal_column("'N/A'")
)


async def read(
    database: Database, invoice_id: int, *, listed_items: int = LISTED_ITEMS
) -> Statement:
    """Read an invoice with its customer and its lines, as of one moment.

    Where it has more items than `listed_items`, its lines sum them up by project and offering.
    """
    async with database.snapshot() as connection:
        invoice = (await connection.execute(_invoice(invoice_id))).one()
        summed_up = invoice.item_count > listed_items
        read_lines = _summary if summed_up else _items
        lines = await read_lines(connection, invoice_id, invoice)
    return _statement(invoice, lines, summed_up=summed_up)


def _invoice(invoice_id: int) -> Select[*tuple[Any, ...]]:
    counted = (
        select(
            func.count().label("item_count"),
            func.coalesce(func.sum(_item.price).filter(_item.credit), 0).label("compensations"),
        )
        .where(_item.invoice_id == invoice_id, _item.price != 0)
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
            Invoice.total_price,
            Invoice.total_cost,
            counted.c.item_count,
            counted.c.compensations,
            Customer.name,
            Customer.address,
            Customer.postal,
            Customer.country,
            Customer.email,
            Customer.phone_number,
            Customer.vat_code,
        )
        .join(Customer, Customer.id == Invoice.customer_id)
        .join(counted, literal(True))
        .where(Invoice.id == invoice_id)
    )


async def _items(connection: AsyncConnection, invoice_id: int, invoice: Row[Any]) -> list[Line]:
    rows = await connection.execute(
        select(
            _shown_project.label("project"),
            _item.name,
            _item.price,
            _item.credit,
            _item.quantity,
            _item.unit,
            _item.measured_unit,
            _item.unit_price,
            _item.start,
            _item.end,
        )
        .select_from(InvoiceItem)
        .outerjoin(Project, Project.id == _item.project_id)
        .where(_item.invoice_id == invoice_id, _item.price != 0)
        .order_by(collate(_item.project_name, "C"), collate(_item.name, "C"), _item.id)
    )
    return [
        Line(
            project=row.project,
            name=row.name,
            price=row.price,
            tax_percent=invoice.tax_percent,
            credit=row.credit,
            quantity=row.quantity,
            unit=row.measured_unit or _UNITS[BillingUnit(row.unit)],
            unit_price=row.unit_price,
            start=row.start.date(),
            end=row.end.date(),
        )
        for row in rows
    ]


async def _summary(connection: AsyncConnection, invoice_id: int, invoice: Row[Any]) -> list[Line]:
    own = aliased(Offering)
    of_resource = aliased(Offering)
    offering = func.coalesce(of_resource.name, own.name, literal_column("''"))
    rows = await connection.execute(
        select(
            _shown_project.label("project"),
            offering.label("name"),
            func.sum(_item.price).label("price"),
            func.count().label("item_count"),
        )
        .select_from(InvoiceItem)
        .outerjoin(Project, Project.id == _item.project_id)
        .outerjoin(Resource, Resource.id == _item.resource_id)
        .outerjoin(of_resource, of_resource.id == Resource.offering_id)
        .outerjoin(own, own.id == _item.offering_id)
        .where(_item.invoice_id == invoice_id, _item.price != 0)
        .group_by(_shown_project, offering)
        .order_by(collate(_shown_project, "C"), collate(offering, "C"))
    )
    lines = [
        Line(
            project=row.project,
            name=row.name or "Other services",
            price=row.price,
            tax_percent=invoice.tax_percent,
            items=row.item_count,
        )
        for row in rows
    ]
    return _bounded(lines)


def _bounded(lines: list[Line]) -> list[Line]:
    shown, rest = lines[:SUMMED_LINES], lines[SUMMED_LINES:]
    if not rest:
        return shown
    return [
        *shown,
        Line(
            project="Further projects",
            name="All services",
            price=sum((line.price for line in rest), rest[0].price * 0),
            tax_percent=rest[0].tax_percent,
            items=sum(line.items for line in rest),
        ),
    ]


def _statement(invoice: Row[Any], lines: list[Line], *, summed_up: bool) -> Statement:
    return Statement(
        number=invoice.number,
        state=invoice.state,
        period=Period(invoice.year, invoice.month),
        invoice_date=invoice.invoice_date,
        due_date=invoice.due_date,
        payment_url=invoice.payment_url,
        reference_number=invoice.reference_number,
        tax_percent=invoice.tax_percent,
        price=invoice.total_price,
        total=invoice.total_cost,
        compensations=invoice.compensations,
        items=invoice.item_count,
        customer=statement.Customer(
            name=invoice.name,
            address=invoice.address,
            postal=invoice.postal,
            country=invoice.country,
            email=invoice.email,
            phone_number=invoice.phone_number,
            vat_code=invoice.vat_code,
        ),
        lines=lines,
        summed_up=summed_up,
    )

"""Invoices and their items as rows of the documented schemas, with just the keys asked for."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    RowMapping,
    any_,
    bindparam,
    cast,
    collate,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing import money
from app.billing.quantities import shown_measured_unit, whole_factor
from app.billing.vocabulary import BillingUnit
from app.catalogue.tables import OfferingComponent, PlanComponent, Resource
from app.customers.countries import country_name
from app.customers.tables import Customer, Project
from app.database.statements import AnySelect
from app.invoices.schemas import FIELDS, InvoiceStateEnum, Row
from app.invoices.tables import Invoice, InvoiceItem
from app.settings import Settings

CODE_POINTS = "C"
"""The collation of every order by text: the same whatever the database's own is."""

_ADDRESS = (
    Customer.name,
    Customer.address,
    Customer.country,
    Customer.email,
    Customer.postal,
    Customer.phone_number,
    Customer.bank_name,
    Customer.bank_account,
    Customer.vat_code,
)
_COLUMNS: dict[str, tuple[Any, ...]] = {
    "url": (Invoice.uuid,),
    "uuid": (Invoice.uuid,),
    "number": (Invoice.number,),
    "customer": (Customer.uuid.label("customer"),),
    "price": (Invoice.total_price,),
    "tax": (Invoice.total_price,),
    "total": (Invoice.total_price,),
    "state": (Invoice.state,),
    "year": (Invoice.year,),
    "month": (Invoice.month,),
    "invoice_date": (Invoice.invoice_date,),
    "due_date": (Invoice.due_date,),
    "customer_details": _ADDRESS,
    "backend_id": (Invoice.backend_id,),
    "payment_url": (Invoice.payment_url,),
    "reference_number": (Invoice.reference_number,),
    "compensations": (Invoice.compensations,),
    "incurred_costs": (Invoice.incurred_costs,),
}
"""What each field is made of; the id and the tax percentage are always there."""
_OF_CUSTOMER = frozenset({"customer", "customer_details"})


def invoice_statement(fields: Sequence[str]) -> AnySelect:
    """Return the select of what the fields need, of every invoice; narrow it before use."""
    columns = {column.key: column for field in fields for column in _COLUMNS.get(field, ())}
    statement = select(Invoice.id, Invoice.tax_percent, *columns.values())
    if _OF_CUSTOMER.isdisjoint(fields):
        return statement.select_from(Invoice)
    return statement.join(Customer, Customer.id == Invoice.customer_id)


async def represent(connection: AsyncConnection, settings: Settings, invoice_id: int) -> Row:
    """Return the whole of one invoice, which must exist; who may see it is the caller's matter."""
    statement = invoice_statement(FIELDS).where(Invoice.id == invoice_id)
    found = (await connection.execute(statement)).mappings().all()
    return (await complete(connection, settings, found, FIELDS))[0]


async def complete(
    connection: AsyncConnection,
    settings: Settings,
    invoices: Sequence[RowMapping],
    fields: Sequence[str],
) -> list[Row]:
    """Return what `invoice_statement` selected as rows; reads items only where asked for."""
    items: Mapping[int, list[Row]] = {}
    if "items" in fields and invoices:
        items = await _items_of(connection, {row["id"]: row["tax_percent"] for row in invoices})
    return [_invoice(row, fields, settings, items) for row in invoices]


def _invoice(
    row: RowMapping, fields: Sequence[str], settings: Settings, items: Mapping[int, list[Row]]
) -> Row:
    made: Row = {}
    for field in fields:
        match field:
            case "url":
                made[field] = row["uuid"]
            case "price":
                made[field] = row["total_price"]
            case "tax":
                made[field] = money.tax_on(row["total_price"], row["tax_percent"])
            case "total":
                made[field] = money.with_tax(row["total_price"], row["tax_percent"])
            case "state":
                made[field] = InvoiceStateEnum(row["state"])
            case "issuer_details":
                made[field] = settings.issuer_details.model_dump()
            case "due_date":
                if row["due_date"] is not None:
                    made[field] = row["due_date"]
            case "customer_details":
                made[field] = _customer_details(row, settings.locale)
            case "items":
                made[field] = items.get(row["id"], [])
            case _:
                made[field] = row[field]
    return made


def _customer_details(row: RowMapping, locale: str) -> Row:
    return {
        "name": row["name"],
        "address": row["address"],
        "country": row["country"],
        "country_name": country_name(row["country"], locale),
        "email": row["email"],
        "postal": row["postal"],
        "phone_number": row["phone_number"],
        "bank_name": row["bank_name"],
        "bank_account": row["bank_account"],
        "vat_code": row["vat_code"],
    }


_ITEMS = (
    select(
        InvoiceItem.uuid,
        InvoiceItem.name,
        InvoiceItem.price,
        InvoiceItem.unit_price,
        InvoiceItem.unit,
        InvoiceItem.measured_unit,
        InvoiceItem.start,
        InvoiceItem.end,
        InvoiceItem.article_code,
        InvoiceItem.project_name,
        InvoiceItem.project_uuid,
        InvoiceItem.quantity,
        InvoiceItem.details,
        InvoiceItem.backend_uuid,
        InvoiceItem.credit,
        Project.name.label("name_of_project"),
        Project.uuid.label("uuid_of_project"),
        Resource.uuid.label("resource_uuid"),
        Resource.name.label("resource_name"),
        OfferingComponent.billing_type,
    )
    .select_from(InvoiceItem)
    .outerjoin(Project, Project.id == InvoiceItem.project_id)
    .outerjoin(Resource, Resource.id == InvoiceItem.resource_id)
    .outerjoin(PlanComponent, PlanComponent.id == InvoiceItem.plan_component_id)
    .outerjoin(OfferingComponent, OfferingComponent.id == PlanComponent.component_id)
    # What costs nothing is not shown.
    .where(InvoiceItem.price != 0)
)
ITEM_ORDER: tuple[ColumnElement[Any], ...] = (
    collate(InvoiceItem.project_name, CODE_POINTS),
    collate(InvoiceItem.name, CODE_POINTS),
    InvoiceItem.id.expression,
)
_ITEMS_OF = (
    _ITEMS.add_columns(InvoiceItem.invoice_id)
    .where(InvoiceItem.invoice_id == any_(cast(bindparam("invoices"), ARRAY(BigInteger))))
    .order_by(*ITEM_ORDER)
)


def item_statement() -> AnySelect:
    """Return the select of shown items, of every invoice and in no order."""
    return _ITEMS


async def _items_of(
    connection: AsyncConnection, tax_percents: Mapping[int, Decimal]
) -> Mapping[int, list[Row]]:
    found = await connection.execute(_ITEMS_OF, {"invoices": list(tax_percents)})
    items: defaultdict[int, list[Row]] = defaultdict(list)
    for row in found.mappings():
        invoice = row["invoice_id"]
        items[invoice].append(item(row, tax_percents[invoice]))
    return items


def item(row: RowMapping, tax_percent: Decimal) -> Row:
    """Return one item of `item_statement` as a row, with the tax percentage of its invoice."""
    price, quantity = row["price"], row["quantity"]
    made: Row = {
        "uuid": row["uuid"],
        "url": row["uuid"],
        "name": row["name"],
        "price": price,
        "tax": money.tax_on(price, tax_percent),
        "total": money.with_tax(price, tax_percent),
        "unit_price": row["unit_price"],
        "unit": BillingUnit(row["unit"]),
    }
    if (factor := whole_factor(quantity)) is not None:
        made["factor"] = factor
    made["measured_unit"] = shown_measured_unit(row["measured_unit"], row["unit"], quantity)
    made["start"] = row["start"]
    made["end"] = row["end"]
    made["article_code"] = row["article_code"]
    made["project_name"] = row["project_name"] or row["name_of_project"] or "N/A"
    if project_uuid := row["project_uuid"] or row["uuid_of_project"]:
        made["project_uuid"] = project_uuid
    made["quantity"] = quantity
    made["details"] = row["details"]
    made["resource"] = row["resource_uuid"]
    if row["resource_uuid"]:
        made["resource_uuid"] = row["resource_uuid"]
        made["resource_name"] = row["resource_name"]
    if row["billing_type"]:
        made["billing_type"] = row["billing_type"]
    made["backend_uuid"] = row["backend_uuid"]
    made["credit"] = row["credit"]
    return made

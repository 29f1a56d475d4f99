"""Invoices and their items as rows of the documented schemas, with just the keys asked for."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, Self

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    RowMapping,
    any_,
    bindparam,
    collate,
    func,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing import money
from app.billing.currencies import Currency
from app.billing.enums import BillingUnit
from app.billing.quantities import displayed_measured_unit, whole_factor
from app.catalogue.models import OfferingComponent, PlanComponent, Resource
from app.customers.countries import country_name
from app.customers.models import Customer, Project
from app.database.statements import AnySelect
from app.invoices.models import Invoice, InvoiceItem
from app.invoices.schemas import InvoiceStateEnum, Row
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
    "tax": (Invoice.total_price, Invoice.tax_percent),
    "total": (Invoice.total_price, Invoice.tax_percent),
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
"""What each field is made of."""
OF_CUSTOMER = frozenset({"customer", "customer_details"})
"""The fields for which a statement joins the customer."""


class Version(NamedTuple):
    """One state of all that a document shows of an invoice: equal versions, equal documents."""

    invoice_id: int
    revision: int
    references: int
    """The `ReferenceRevision` of then."""

    @classmethod
    def of(cls, row: RowMapping, references: int) -> Self:
        """Return the version of a row with an invoice's `id` and `revision`."""
        return cls(row["id"], row["revision"], references)


def shown_columns(fields: Sequence[str]) -> tuple[Any, ...]:
    """Return the columns that the fields need of an invoice and its customer."""
    columns = {column.key: column for field in fields for column in _COLUMNS.get(field, ())}
    return tuple(columns.values())


async def heads(
    connection: AsyncConnection, fields: Sequence[str], invoices: Sequence[int]
) -> dict[int, RowMapping]:
    """Return what the fields need of invoices, but for their items, by the keys of their rows."""
    statement = select(Invoice.id, Invoice.tax_percent, *shown_columns(fields)).where(
        Invoice.id == any_(bindparam("invoices", type_=ARRAY(BigInteger)))
    )
    if not OF_CUSTOMER.isdisjoint(fields):
        statement = statement.join(Customer, Customer.id == Invoice.customer_id)
    found = await connection.execute(statement, {"invoices": list(invoices)})
    return {row["id"]: row for row in found.mappings()}


def invoice(row: RowMapping, fields: Sequence[str], settings: Settings) -> Row:
    """Return the fields of an invoice as a row, but for its items."""
    made: Row = {}
    for field in fields:
        if field in _MADE:
            made[field] = _MADE[field](row, settings)
        elif field == "due_date":
            if row[field] is not None:
                made[field] = row[field]
        elif field != "items":
            made[field] = row[field]
    return made


def _customer_details(row: RowMapping, settings: Settings) -> Row:
    return {
        "name": row["name"],
        "address": row["address"],
        "country": row["country"],
        "country_name": country_name(row["country"], settings.locale),
        "email": row["email"],
        "postal": row["postal"],
        "phone_number": row["phone_number"],
        "bank_name": row["bank_name"],
        "bank_account": row["bank_account"],
        "vat_code": row["vat_code"],
    }


_MADE: dict[str, Callable[[RowMapping, Settings], Any]] = {
    "url": lambda row, _: row["uuid"],
    "price": lambda row, _: row["total_price"],
    "tax": lambda row, _: money.tax_on(row["total_price"], row["tax_percent"]),
    "total": lambda row, _: money.with_tax(row["total_price"], row["tax_percent"]),
    "state": lambda row, _: InvoiceStateEnum(row["state"]),
    "issuer_details": lambda _, settings: settings.issuer_details.model_dump(),
    "customer_details": _customer_details,
}
"""How fields are made that are not columns as they are."""


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


def item_statement() -> AnySelect:
    """Return the select of shown items, of every invoice and in no order."""
    return _ITEMS


def items_statement(invoices: Sequence[int]) -> AnySelect:
    """Return the select of the shown items of invoices, each invoice in its turn."""
    keys = bindparam("invoices", list(invoices), type_=ARRAY(BigInteger))
    of = InvoiceItem.invoice_id
    statement = _ITEMS.add_columns(of).where(of == any_(keys))
    if len(invoices) == 1:
        return statement.order_by(*ITEM_ORDER)
    return statement.order_by(func.array_position(keys, of), *ITEM_ORDER)


def item(row: RowMapping, tax_percent: Decimal, currency: Currency) -> Row:
    """Return one item of `item_statement` as a row, with the tax percentage of its invoice."""
    price, quantity = row["price"], row["quantity"]
    made: Row = {
        "uuid": row["uuid"],
        "url": row["uuid"],
        "name": row["name"],
        "price": price,
        "tax": money.round_half_even(money.tax_on(price, tax_percent), currency),
        "total": money.round_half_even(money.with_tax(price, tax_percent), currency),
        "unit_price": row["unit_price"],
        "unit": BillingUnit(row["unit"]),
    }
    if (factor := whole_factor(quantity)) is not None:
        made["factor"] = factor
    made["measured_unit"] = displayed_measured_unit(row["measured_unit"], row["unit"], quantity)
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

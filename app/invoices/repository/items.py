"""The statements that change single items, for the actions."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Date,
    SmallInteger,
    Text,
    cast,
    delete,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import BillingType, BillingUnit, InvoiceState
from app.billing.periods import Period
from app.catalogue.models import OfferingComponent, PlanComponent
from app.customers.models import Customer
from app.database.statements import equals_any
from app.invoices.errors import ItemNotFound
from app.invoices.models import Invoice, InvoiceItem
from app.invoices.states import OPENED

COMPENSATED_ITEM: Final = "original_invoice_item_uuid"
"""The key in `details` of a compensation by hand: the UUID of its item."""
_COPIED = (
    "name",
    "unit",
    "measured_unit",
    "article_code",
    "start",
    "end",
    "quantity",
    "project_id",
    "project_name",
    "project_uuid",
    "resource_id",
    "offering_id",
    "plan_component_id",
)
"""The columns that a compensation has from the item that it compensates."""


@dataclass(frozen=True, slots=True)
class LockedInvoice:
    """An invoice whose row is locked."""

    id: int
    uuid: UUID
    customer_id: int
    period: Period
    state: InvoiceState
    total_price: Decimal


@dataclass(frozen=True, slots=True)
class LockedItem:
    """An item whose row is locked, as its invoice's."""

    id: int
    uuid: UUID
    invoice: LockedInvoice
    unit: BillingUnit
    unit_price: Decimal
    quantity: Decimal
    price: Decimal
    article_code: str
    start: datetime
    end: datetime
    is_of_credit: bool
    """Whether a customer credit paid another item by this one."""
    billing_type: BillingType | None
    """Of its component; None for an item without one."""


async def lock_item(
    connection: AsyncConnection, item: UUID, *, also: Collection[UUID] = ()
) -> tuple[LockedItem, dict[UUID, LockedInvoice]]:
    """Lock an item with its invoice, and further invoices, which are returned by UUID.

    Invoices are locked before items and in one order. Raises `ItemNotFound`.
    """
    while True:
        of_item = select(InvoiceItem.invoice_id).where(InvoiceItem.uuid == item)
        invoice_id = (await connection.execute(of_item)).scalar_one_or_none()
        if invoice_id is None:
            raise ItemNotFound
        locked = await _lock_invoices(connection, invoice_id, also)
        statement = (
            select(InvoiceItem, OfferingComponent.billing_type)
            .outerjoin(PlanComponent, PlanComponent.id == InvoiceItem.plan_component_id)
            .outerjoin(OfferingComponent, OfferingComponent.id == PlanComponent.component_id)
            .where(InvoiceItem.uuid == item, InvoiceItem.invoice_id == invoice_id)
            .with_for_update(of=InvoiceItem)
        )
        row = (await connection.execute(statement)).one_or_none()
        if row is not None and invoice_id in locked:
            others = {invoice.uuid: invoice for invoice in locked.values()}
            return _locked_item(row, locked[invoice_id]), others
        # It was moved to another invoice, or deleted, before its invoice was locked.


async def find_changeability(
    connection: AsyncConnection, item: UUID
) -> tuple[InvoiceState, bool] | None:
    """Return the state of an item's invoice, and whether a credit paid by the item.

    None if the item does not exist. Nothing is locked.
    """
    statement = (
        select(Invoice.state, InvoiceItem.customer_credit_id.is_not(None))
        .join(Invoice, Invoice.id == InvoiceItem.invoice_id)
        .where(InvoiceItem.uuid == item)
    )
    row = (await connection.execute(statement)).one_or_none()
    return row and (InvoiceState(row[0]), row[1])


def _locked_item(row: Any, invoice: LockedInvoice) -> LockedItem:
    return LockedItem(
        row.id,
        row.uuid,
        invoice,
        BillingUnit(row.unit),
        row.unit_price,
        row.quantity,
        row.price,
        row.article_code,
        row.start,
        row.end,
        row.customer_credit_id is not None,
        None if row.billing_type is None else BillingType(row.billing_type),
    )


async def _lock_invoices(
    connection: AsyncConnection, invoice_id: int, also: Collection[UUID]
) -> dict[int, LockedInvoice]:
    statement = (
        _invoices.where((Invoice.id == invoice_id) | Invoice.uuid.in_(also))
        .order_by(Invoice.id)
        .with_for_update()
    )
    return {row.id: _locked_invoice(row) for row in await connection.execute(statement)}


_invoices = select(
    Invoice.id,
    Invoice.uuid,
    Invoice.customer_id,
    Invoice.year,
    Invoice.month,
    Invoice.state,
    Invoice.total_price,
)


def _locked_invoice(row: Any) -> LockedInvoice:
    period, state = Period(row.year, row.month), InvoiceState(row.state)
    return LockedInvoice(row.id, row.uuid, row.customer_id, period, state, row.total_price)


async def _lock_invoices_of_month(
    connection: AsyncConnection, customer_ids: Collection[int], period: Period
) -> dict[int, LockedInvoice]:
    statement = (
        _invoices.where(
            equals_any(Invoice.customer_id, customer_ids),
            Invoice.year == period.year,
            Invoice.month == period.month,
        )
        .order_by(Invoice.id)
        .with_for_update()
    )
    return {row.customer_id: _locked_invoice(row) for row in await connection.execute(statement)}


async def open_invoices_of_month(
    connection: AsyncConnection, customer_ids: Collection[int], period: Period
) -> dict[int, LockedInvoice]:
    """Lock the invoices of a month in the order of their ids; return them by the customer's id.

    A missing one is opened with the customer's tax.
    """
    found = await _lock_invoices_of_month(connection, customer_ids, period)
    missing = set(customer_ids) - found.keys()
    if not missing:
        return found
    columns: dict[str, Any] = {
        "uuid": func.gen_random_uuid(),
        "customer_id": Customer.id,
        "year": literal(period.year, SmallInteger),
        "month": literal(period.month, SmallInteger),
        "state": literal(OPENED.value),
        "tax_percent": Customer.default_tax_percent,
        "created": literal(clock.today(), Date),
    }
    opened = select(*columns.values()).where(equals_any(Customer.id, missing)).order_by(Customer.id)
    await connection.execute(
        insert(Invoice)
        .from_select(list(columns), opened)
        .on_conflict_do_nothing(index_elements=[Invoice.customer_id, Invoice.year, Invoice.month])
    )
    # By this transaction, or by another one meanwhile.
    return found | await _lock_invoices_of_month(connection, missing, period)


async def update_item(connection: AsyncConnection, item_id: int, changes: dict[str, Any]) -> None:
    """Set columns of an item. Triggers compute its price if its amounts change."""
    if changes:
        statement = update(InvoiceItem).where(InvoiceItem.id == item_id).values(changes)
        await connection.execute(statement)


async def delete_item(connection: AsyncConnection, item_id: int) -> None:
    """Delete an item."""
    await connection.execute(delete(InvoiceItem).where(InvoiceItem.id == item_id))


async def move_item(connection: AsyncConnection, item_id: int, invoice_id: int) -> None:
    """Move an item to another invoice; it keeps its price."""
    statement = update(InvoiceItem).where(InvoiceItem.id == item_id).values(invoice_id=invoice_id)
    await connection.execute(statement)


async def insert_compensation(
    connection: AsyncConnection, item_id: int, invoice_id: int, component: str
) -> UUID:
    """Insert the opposite of an item, for a component, into an invoice; return its UUID."""
    table = InvoiceItem.__table__.c
    details = table.details.op("||")(
        func.jsonb_build_object(
            literal(COMPENSATED_ITEM, Text),
            cast(table.uuid, Text),
            "offering_component_name",
            literal(component),
        )
    )
    columns: dict[str, Any] = {name: table[name] for name in _COPIED} | {
        "uuid": func.gen_random_uuid(),
        "invoice_id": literal(invoice_id, BigInteger),
        "unit_price": -table.unit_price,
        "price": -table.price,
        "credit": literal(True),
        "details": details,
    }
    statement = (
        insert(InvoiceItem)
        .from_select(list(columns), select(*columns.values()).where(table.id == item_id))
        .returning(InvoiceItem.uuid)
    )
    return (await connection.execute(statement)).scalar_one()


async def insert_items(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert items."""
    if rows:
        await connection.execute(insert(InvoiceItem), rows)


async def find_names(
    connection: AsyncConnection, invoice_ids: Collection[int]
) -> set[tuple[int, str, str]]:
    """Return the names and article codes of the items of invoices, each with its invoice's id."""
    statement = select(InvoiceItem.invoice_id, InvoiceItem.name, InvoiceItem.article_code).where(
        equals_any(InvoiceItem.invoice_id, invoice_ids)
    )
    return {
        (row.invoice_id, row.name, row.article_code) for row in await connection.execute(statement)
    }


async def find_customers(
    connection: AsyncConnection, uuids: Collection[UUID], names: Collection[str]
) -> defaultdict[UUID | str, list[int]]:
    """Return the keys of customers by UUID, and by name in lower case."""
    name = func.lower(Customer.name, type_=Text())
    statement = select(Customer.id, Customer.uuid, name.label("name")).where(
        equals_any(Customer.uuid, uuids) | equals_any(name, names)
    )
    found: defaultdict[UUID | str, list[int]] = defaultdict(list)
    for row in await connection.execute(statement.order_by(Customer.id)):
        if row.uuid in uuids:
            found[row.uuid].append(row.id)
        if row.name in names:
            found[row.name].append(row.id)
    return found

"""Queries of the stored invoices and items with which an import compares a bill."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import ImportSource, InvoiceState
from app.billing.periods import Period
from app.customers.models import Customer
from app.database.statements import equals_any
from app.dataio.focus.item_rows import INVOICE_IDS, OFFERING_TYPE, ItemRow
from app.dataio.focus.missing_charges import InvoiceLine
from app.deliveries.models import Delivery
from app.invoices.models import IS_DIFFERENCE, Invoice, InvoiceItem
from app.invoices.repository.closing import OverdueInvoice, is_unissued_before
from app.invoices.repository.imports import HAS_ITEMS
from app.invoices.states import CHANGEABLE, ISSUED
from app.payments.models import Payment

_NOT_COMPARED = ("resource_name", "service_provider_name", INVOICE_IDS)
"""The details that may change after the charges are final."""
_IS_IMPORTED = and_(
    InvoiceItem.details["offering_type"].astext == OFFERING_TYPE,
    InvoiceItem.details.has_key("billed_cost"),
    InvoiceItem.details.has_key("charge_count"),
)
"""Whether an item comes from an import of a cost export: only these items have these details."""


@dataclass(frozen=True)
class StoredInvoice:
    """A stored invoice."""

    id: int
    uuid: UUID
    number: int
    year: int
    month: int
    state: InvoiceState
    tax_percent: Decimal
    source: str | None
    revision: int
    imported_revision: int | None
    has_items: bool
    was_settled: bool
    """Whether it has a payment or a notification."""
    currency: str | None
    """The currency of its imported charges; None if it has none."""

    @property
    def is_open(self) -> bool:
        """Whether an import can add items."""
        return self.state in CHANGEABLE or self.was_issued_empty

    @property
    def was_issued_empty(self) -> bool:
        """Whether this service issued it without items, payments and notifications.

        In earlier releases the close of the month did so for accounts whose bill was late.
        """
        issued = self.state in ISSUED
        return self.source is None and issued and not (self.has_items or self.was_settled)

    @property
    def was_changed_since_import(self) -> bool:
        """Whether it was changed since the last import of cost exports."""
        return self.source == ImportSource.FOCUS and self.revision != self.imported_revision

    @property
    def is_unchanged_since_import(self) -> bool:
        """Whether it is as the last import of cost exports left it."""
        return self.source == ImportSource.FOCUS and self.revision == self.imported_revision


_INVOICE_COLUMNS = [each.name for each in fields(StoredInvoice) if hasattr(Invoice, each.name)]


async def load_invoices(
    connection: AsyncConnection, customers: Collection[UUID]
) -> dict[tuple[UUID, int, int], StoredInvoice]:
    """Return the invoices of customers by customer, year and month. Locks their rows."""
    item_currency = InvoiceItem.details["billing_currency"].astext
    currency = (
        select(item_currency)
        .where(InvoiceItem.invoice_id == Invoice.id, item_currency.is_not(None))
        .limit(1)
        .scalar_subquery()
    )
    statement = (
        select(
            Customer.uuid.label("customer"),
            *(Invoice.__table__.c[name] for name in _INVOICE_COLUMNS),
            HAS_ITEMS.label("has_items"),
            or_(
                exists().where(Payment.invoice_id == Invoice.id),
                exists().where(Delivery.invoice_id == Invoice.id),
            ).label("was_settled"),
            currency.label("currency"),
        )
        .join(Customer, Customer.id == Invoice.customer_id)
        .where(equals_any(Customer.uuid, customers))
        .order_by(Invoice.id)
        .with_for_update(of=Invoice)
    )
    invoices = {}
    for row in (await connection.execute(statement)).mappings():
        values: dict[str, Any] = dict(row)
        key = (values.pop("customer"), values["year"], values["month"])
        invoices[key] = StoredInvoice(**values | {"state": InvoiceState(values["state"])})
    return invoices


async def find_existing(
    connection: AsyncConnection, column: Any, values: Collection[Any]
) -> set[Any]:
    """Return those of the values that a column has."""
    return set(await connection.scalars(select(column).where(equals_any(column, values))))


async def load_imported_items(
    connection: AsyncConnection, invoice_id: int
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return the items of an invoice that come from imports of cost exports.

    An import does not touch other items, such as manual ones, corrections and those of a Waldur.
    """
    statement = select(
        InvoiceItem.uuid,
        InvoiceItem.name,
        InvoiceItem.start,
        InvoiceItem.end,
        InvoiceItem.credit,
        InvoiceItem.unit_price,
        InvoiceItem.price,
        InvoiceItem.project_uuid,
        InvoiceItem.project_name,
        InvoiceItem.details,
    ).where(InvoiceItem.invoice_id == invoice_id, _IS_IMPORTED)
    return (await connection.execute(statement)).all()


def to_invoice_lines(items: Iterable[Row[*tuple[Any, ...]]]) -> dict[UUID, InvoiceLine]:
    """Return the lines of items from `load_imported_items`, by their UUIDs."""
    return {
        item.uuid: InvoiceLine(
            item.price,
            Decimal(item.details["billed_cost"]),
            int(item.details["charge_count"]),
            item.start,
            item.end,
        )
        for item in items
    }


def count_differences(items: Iterable[Row[*tuple[Any, ...]]], records: Iterable[ItemRow]) -> int:
    """Return how many of an invoice's items differ from those of a bill.

    Does not compare the names of projects, resources and providers, and the ids of the provider's
    invoices, which may change later. Does not compare prices, which follow from the exact costs in
    the details and from the rest of the bill.
    """
    stored = {item.uuid: _compared_values(item) for item in items}
    billed = {record.uuid: _compared_values(record) for record in records}
    return sum(stored.get(uuid) != billed.get(uuid) for uuid in stored.keys() | billed.keys())


def are_equal(items: Sequence[Row[*tuple[Any, ...]]], records: Iterable[ItemRow]) -> bool:
    """Return whether an invoice's items are those of a bill in every value.

    The invoice must be unchanged since an import: it then has only values that an import writes.
    """
    stored = {item.uuid: _written_values(item) for item in items}
    return stored == {record.uuid: _written_values(record) for record in records}


def _written_values(item: Any) -> tuple[Any, ...]:
    amounts, project = (item.unit_price, item.price), (item.project_uuid, item.project_name)
    return item.name, item.start, item.end, item.credit, amounts, project, item.details


def _compared_values(item: Any) -> tuple[Any, ...]:
    details = {key: value for key, value in item.details.items() if key not in _NOT_COMPARED}
    return item.name, item.start, item.end, item.credit, details


async def sum_prices(connection: AsyncConnection, uuids: Collection[UUID]) -> Decimal:
    """Return the sum of the prices of items."""
    total = select(func.coalesce(func.sum(InvoiceItem.price), 0))
    statement = total.where(equals_any(InvoiceItem.uuid, uuids))
    return Decimal((await connection.execute(statement)).scalar_one())


async def find_items_on_other_invoices(
    connection: AsyncConnection, invoice: UUID, items: Collection[UUID]
) -> Sequence[Row[int, str, int, Decimal]]:
    """Return number, state, item count and price of the other invoices that items are on."""
    statement = (
        select(Invoice.number, Invoice.state, func.count(), func.sum(InvoiceItem.price))
        .join(InvoiceItem, InvoiceItem.invoice_id == Invoice.id)
        .where(equals_any(InvoiceItem.uuid, items), Invoice.uuid != invoice)
        .group_by(Invoice.id)
        .order_by(Invoice.number)
    )
    return (await connection.execute(statement)).all()


async def sum_other_items(
    connection: AsyncConnection, invoice_ids: Collection[int], roundings: Collection[UUID]
) -> dict[int, tuple[int, Decimal]]:
    """Return the number and price of invoices' items that no import brought, by invoice.

    Differences of restated bills are an import's.
    """
    statement = (
        select(InvoiceItem.invoice_id, func.count(), func.sum(InvoiceItem.price))
        .where(
            equals_any(InvoiceItem.invoice_id, invoice_ids),
            ~_IS_IMPORTED,
            ~IS_DIFFERENCE,
            ~equals_any(InvoiceItem.uuid, roundings),
        )
        .group_by(InvoiceItem.invoice_id)
    )
    rows = await connection.execute(statement)
    return {invoice_id: (count, price) for invoice_id, count, price in rows}


async def load_customer_names(
    connection: AsyncConnection, uuids: Collection[UUID]
) -> dict[UUID, str]:
    """Return the stored names of customers, which an operator may have changed, by UUID."""
    statement = select(Customer.uuid, Customer.name).where(equals_any(Customer.uuid, uuids))
    return {row.uuid: row.name for row in await connection.execute(statement)}


async def load_revisions(
    connection: AsyncConnection, uuids: Collection[UUID]
) -> dict[UUID, tuple[int, int]]:
    """Return the number and the revision of invoices by UUID."""
    statement = select(Invoice.uuid, Invoice.number, Invoice.revision)
    rows = await connection.execute(statement.where(equals_any(Invoice.uuid, uuids)))
    return {row.uuid: (row.number, row.revision) for row in rows}


async def find_pending_before(
    connection: AsyncConnection, uuids: Collection[UUID], period: Period
) -> list[OverdueInvoice]:
    """Return those invoices that are pending and of an earlier period, older months first."""
    lines = select(func.count()).where(InvoiceItem.invoice_id == Invoice.id).scalar_subquery()
    order = (Invoice.year, Invoice.month, Invoice.number)
    statement = (
        select(Invoice.id, *order, lines)
        .where(equals_any(Invoice.uuid, uuids), is_unissued_before(period))
        .order_by(*order)
    )
    return [OverdueInvoice(*row) for row in await connection.execute(statement)]

"""What the database holds of the invoices of a cost export, and what the import does to it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, exists, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.periods import Period
from app.billing.vocabulary import InvoiceState, Source
from app.customers.tables import Customer
from app.exchange.focus.mapping import INVOICE_IDS
from app.exchange.kinds import Kind
from app.exchange.records import InvoiceItem as ItemRecord
from app.invoices.tables import Invoice, InvoiceItem
from app.notifications.tables import Delivery
from app.payments.tables import Payment

_NOT_CHARGED = ("resource_name", "service_provider_name", INVOICE_IDS)
"""The details that may change after the charges are final."""


@dataclass(frozen=True)
class StoredInvoice:
    """An invoice that is there."""

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
    """Whether a payment or a notification of it is there."""
    currency: str | None
    """Of the charges that were imported into it; none where there are none."""

    @property
    def is_ours(self) -> bool:
        """Whether its items are the import's: it came from one, or has billed nothing yet."""
        if self.source == Source.FOCUS:
            return True
        empty = self.state is InvoiceState.PENDING and not self.has_items
        return self.source is None and (empty or self.was_issued_empty)

    @property
    def was_issued_empty(self) -> bool:
        """Whether it was issued here without an item, and nobody was asked to pay it.

        Earlier versions' close of the month did so to accounts whose bill was late.
        """
        issued = self.state in (InvoiceState.CREATED, InvoiceState.PAID)
        return self.source is None and issued and not (self.has_items or self.was_settled)

    @property
    def was_changed_here(self) -> bool:
        """Whether something was changed since the last import left it."""
        return self.source == Source.FOCUS and self.revision != self.imported_revision


async def invoices_of(
    connection: AsyncConnection, customers: Collection[UUID]
) -> dict[tuple[UUID, int, int], StoredInvoice]:
    """Return the invoices of customers by customer, year and month, locked until the end."""
    has_items = exists().where(InvoiceItem.invoice_id == Invoice.id)
    of_a_charge = InvoiceItem.details["billing_currency"].astext
    currency = (
        select(of_a_charge)
        .where(InvoiceItem.invoice_id == Invoice.id, of_a_charge.is_not(None))
        .limit(1)
        .scalar_subquery()
    )
    statement = (
        select(
            Customer.uuid.label("customer"),
            Invoice.id,
            Invoice.uuid,
            Invoice.number,
            Invoice.year,
            Invoice.month,
            Invoice.state,
            Invoice.tax_percent,
            Invoice.source,
            Invoice.revision,
            Invoice.imported_revision,
            has_items.label("has_items"),
            or_(
                exists().where(Payment.invoice_id == Invoice.id),
                exists().where(Delivery.invoice_id == Invoice.id),
            ).label("was_settled"),
            currency.label("currency"),
        )
        .join(Customer, Customer.id == Invoice.customer_id)
        .where(_is_any(Customer.uuid, customers))
        .order_by(Invoice.id)
        .with_for_update(of=Invoice)
    )
    found = {}
    for row in (await connection.execute(statement)).mappings():
        values: dict[str, Any] = dict(row)
        key = (values.pop("customer"), values["year"], values["month"])
        found[key] = StoredInvoice(**values | {"state": InvoiceState(values["state"])})
    return found


async def already_there(
    connection: AsyncConnection, kind: Kind, uuids: Collection[UUID]
) -> set[UUID]:
    """Return those of the UUIDs that rows of a kind have."""
    column = kind.table.c.uuid
    statement = select(column).where(_is_any(column, uuids))
    return set((await connection.execute(statement)).scalars())


async def differences(
    connection: AsyncConnection, invoice_id: int, records: Iterable[ItemRecord], rounding: UUID
) -> int:
    """Return how many lines of an invoice differ in what was charged from what the file has.

    Names of projects, resources and providers are not compared, which change over time, nor the
    ids of the provider's invoices, which it gives later; nor unit
    prices and the line that rounds, which follow from the exact costs in the details, and from
    what else is in the file.
    """
    statement = select(
        InvoiceItem.uuid,
        InvoiceItem.name,
        InvoiceItem.start,
        InvoiceItem.end,
        InvoiceItem.credit,
        InvoiceItem.details,
    ).where(InvoiceItem.invoice_id == invoice_id)
    lines = (await connection.execute(statement)).all()
    stored = {line.uuid: _charged(line) for line in lines}
    given = {record.uuid: _charged(record) for record in records}
    uuids = (stored.keys() | given.keys()) - {rounding}
    return sum(stored.get(uuid) != given.get(uuid) for uuid in uuids)


def _charged(line: Any) -> tuple[Any, ...]:
    details = {key: value for key, value in line.details.items() if key not in _NOT_CHARGED}
    return line.name, line.start, line.end, line.credit, details


async def take_over(
    connection: AsyncConnection, invoice_ids: Sequence[int], tax_percent: Decimal
) -> None:
    """Make invoices that were opened here, and have no items yet, the import's.

    Those that were issued so are pending again, under their number: what they say is not final
    before it is something.
    """
    await connection.execute(
        update(Invoice)
        .where(Invoice.id.in_(invoice_ids), Invoice.source.is_(None))
        .values(
            source=Source.FOCUS,
            tax_percent=tax_percent,
            state=InvoiceState.PENDING,
            invoice_date=None,
            due_date=None,
        )
    )


async def set_tax(
    connection: AsyncConnection, invoice_ids: Sequence[int], tax_percent: Decimal
) -> None:
    """Set the tax of invoices."""
    await connection.execute(
        update(Invoice)
        .where(Invoice.id.in_(invoice_ids), Invoice.tax_percent != tax_percent)
        .values(tax_percent=tax_percent)
    )


async def revisions(
    connection: AsyncConnection, uuids: Collection[UUID]
) -> dict[UUID, tuple[int, int]]:
    """Return number and revision of invoices by their UUIDs."""
    statement = select(Invoice.uuid, Invoice.number, Invoice.revision).where(
        _is_any(Invoice.uuid, uuids)
    )
    return {row.uuid: (row.number, row.revision) for row in await connection.execute(statement)}


async def pending_before(
    connection: AsyncConnection, uuids: Collection[UUID], running: Period
) -> list[tuple[int, int]]:
    """Return id and number of those invoices that are pending and of months before `running`."""
    past = or_(
        Invoice.year < running.year,
        (Invoice.year == running.year) & (Invoice.month < running.month),
    )
    statement = (
        select(Invoice.id, Invoice.number)
        .where(_is_any(Invoice.uuid, uuids), Invoice.state == InvoiceState.PENDING, past)
        .order_by(Invoice.number)
    )
    return [(row.id, row.number) for row in await connection.execute(statement)]


def _is_any(column: Any, uuids: Collection[UUID]) -> Any:
    # One parameter, however many there are.
    return column == any_(literal(list(uuids), ARRAY(Uuid)))

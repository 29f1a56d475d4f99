"""What the database holds of the invoices of a cost export, and what the import does to it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Row,
    Uuid,
    and_,
    any_,
    case,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import ImportSource, InvoiceState
from app.billing.periods import Period
from app.catalogue.models import Offering, Resource
from app.customers.models import Customer, Project
from app.dataio.focus import identifiers
from app.dataio.focus.accounts import Account, Earlier, accounts_of, identify
from app.dataio.focus.grouping import Bill, id_of, issuer_of
from app.dataio.focus.mapping import INVOICE_IDS, OFFERING_TYPE
from app.dataio.focus.missing_charges import Line
from app.dataio.records import InvoiceItem as ItemRecord
from app.dataio.registry import Kind
from app.deliveries.models import Delivery
from app.invoices.models import Invoice, InvoiceItem
from app.payments.models import Payment

_NOT_CHARGED = ("resource_name", "service_provider_name", INVOICE_IDS)
"""The details that may change after the charges are final."""
_HAS_ITEMS = exists().where(InvoiceItem.invoice_id == Invoice.id)
_IS_IMPORTED = and_(
    InvoiceItem.details["offering_type"].astext == OFFERING_TYPE,
    InvoiceItem.details.has_key("billed_cost"),
    InvoiceItem.details.has_key("charge_count"),
)
"""Whether an import of a cost export brought an item: no other means gives these details."""


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
    def is_open(self) -> bool:
        """Whether items can be put on it."""
        return self.state is InvoiceState.PENDING or self.was_issued_empty

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
        return self.source == ImportSource.FOCUS and self.revision != self.imported_revision


async def invoices_of(
    connection: AsyncConnection, customers: Collection[UUID]
) -> dict[tuple[UUID, int, int], StoredInvoice]:
    """Return the invoices of customers by customer, year and month, locked until the end."""
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
            _HAS_ITEMS.label("has_items"),
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


async def identified(connection: AsyncConnection, bill: Bill) -> tuple[Bill, list[str]]:
    """Return the bill by the keys of the customers that its accounts are, and what to tell of it.

    A new customer that resembles a stored one is reported: an issuer may have changed its name.
    """
    accounts = accounts_of(bill)
    ids = {id_of(key) for key in accounts}
    uuids = {identifiers.customer(key): key for key in accounts.keys() | ids}
    names = await customer_names(connection, uuids)
    there = {uuids[uuid] for uuid in names}
    earlier = {
        account: await _earlier(
            connection,
            account,
            names[identifiers.customer(account)],
            [each for key, each in accounts.items() if id_of(key) == account],
        )
        for account in ids & there
    }
    keys = identify(accounts, there & accounts.keys(), earlier)
    new = {key for key in keys.values() if key not in there}
    told = []
    alike = await _named(connection, {accounts[key].name or id_of(key) for key in new})
    for key in sorted(new):
        name = accounts[key].name or id_of(key)
        if id_of(key) in earlier or name in alike or _has_other(key, keys.values()):
            told.append(
                f"The billing account {id_of(key)} of {issuer_of(key)}, {name}, is a new customer: "
                "another one with this id or name is of another issuer."
            )
    return bill.with_accounts(keys), told


def _has_other(key: str, keys: Collection[str]) -> bool:
    return any(id_of(each) == id_of(key) for each in keys if each != key)


async def _named(connection: AsyncConnection, names: Collection[str]) -> set[str]:
    """Return which of the names customers of cloud bills have."""
    statement = select(Customer.name).where(
        Customer.source == ImportSource.FOCUS, Customer.name.in_(names)
    )
    return set((await connection.execute(statement)).scalars())


async def _earlier(
    connection: AsyncConnection, account: str, name: str, accounts: Sequence[Account]
) -> Earlier:
    """Return what tells whose account a customer is that was made by the account's id alone."""
    sellers = {identifiers.seller(each): each for one in accounts for each in one.providers}
    projects = {
        identifiers.project(account, each): each for one in accounts for each in one.sub_accounts
    }
    buyer = select(Customer.id).where(Customer.uuid == identifiers.customer(account))
    buyer_id = (await connection.execute(buyer)).scalar_one()
    billed = (
        exists()
        .where(InvoiceItem.invoice_id == Invoice.id, InvoiceItem.offering_id == Offering.id)
        .where(Invoice.customer_id == buyer_id)
    )
    bought = (
        exists()
        .where(Resource.project_id == Project.id, Resource.offering_id == Offering.id)
        .where(Project.customer_id == buyer_id)
    )
    sold = (
        select(Customer.uuid)
        .join(Offering, Offering.customer_id == Customer.id)
        .where(_is_any(Customer.uuid, sellers), or_(bought, billed))
        .distinct()
    )
    known = select(Project.uuid).where(_is_any(Project.uuid, projects))
    return Earlier(
        name,
        {sellers[uuid] for uuid in (await connection.execute(sold)).scalars()},
        {projects[uuid] for uuid in (await connection.execute(known)).scalars()},
    )


async def already_there(
    connection: AsyncConnection, kind: Kind, uuids: Collection[UUID]
) -> set[UUID]:
    """Return those of the UUIDs that rows of a kind have."""
    column = kind.table.c.uuid
    statement = select(column).where(_is_any(column, uuids))
    return set((await connection.execute(statement)).scalars())


async def items_of(connection: AsyncConnection, invoice_id: int) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return the items of an invoice that imports brought.

    What other means put there (by hand, a correction, a Waldur) belongs to no import.
    """
    statement = select(
        InvoiceItem.uuid,
        InvoiceItem.name,
        InvoiceItem.start,
        InvoiceItem.end,
        InvoiceItem.credit,
        InvoiceItem.price,
        InvoiceItem.details,
    ).where(InvoiceItem.invoice_id == invoice_id, _IS_IMPORTED)
    return (await connection.execute(statement)).all()


def lines_of(items: Iterable[Row[*tuple[Any, ...]]]) -> dict[UUID, Line]:
    """Return the lines that items of `items_of` are, by their UUIDs."""
    return {
        item.uuid: Line(
            item.price,
            Decimal(item.details["billed_cost"]),
            int(item.details["charge_count"]),
            item.start,
            item.end,
        )
        for item in items
    }


def differences(items: Iterable[Row[*tuple[Any, ...]]], records: Iterable[ItemRecord]) -> int:
    """Return how many of an invoice's items differ in what was charged from those of a file.

    Names of projects, resources and providers are not compared, which change over time, nor the
    ids of the provider's invoices, which it gives later; nor prices, which follow from the exact
    costs in the details, and from what else is in the file.
    """
    stored = {item.uuid: _charged(item) for item in items}
    given = {record.uuid: _charged(record) for record in records}
    return sum(stored.get(uuid) != given.get(uuid) for uuid in stored.keys() | given.keys())


async def price_of_items(connection: AsyncConnection, uuids: Collection[UUID]) -> Decimal:
    """Return the sum of the prices of items."""
    total = select(func.coalesce(func.sum(InvoiceItem.price), 0))
    return (await connection.execute(total.where(_is_any(InvoiceItem.uuid, uuids)))).scalar_one()


async def on_other_invoices(
    connection: AsyncConnection, invoice: UUID, items: Collection[UUID]
) -> Sequence[Row[int, str, int, Decimal]]:
    """Return number and state of the other invoices that items are on, their count and price."""
    statement = (
        select(Invoice.number, Invoice.state, func.count(), func.sum(InvoiceItem.price))
        .join(InvoiceItem, InvoiceItem.invoice_id == Invoice.id)
        .where(_is_any(InvoiceItem.uuid, items), Invoice.uuid != invoice)
        .group_by(Invoice.id)
        .order_by(Invoice.number)
    )
    return (await connection.execute(statement)).all()


async def items_of_others(
    connection: AsyncConnection, invoice_ids: Collection[int], roundings: Collection[UUID]
) -> dict[int, tuple[int, Decimal]]:
    """Return how many items of invoices no import brought, and their price, by invoice."""
    statement = (
        select(InvoiceItem.invoice_id, func.count(), func.sum(InvoiceItem.price))
        .where(
            InvoiceItem.invoice_id == any_(literal(list(invoice_ids), ARRAY(BigInteger))),
            ~_IS_IMPORTED,
            ~_is_any(InvoiceItem.uuid, roundings),
        )
        .group_by(InvoiceItem.invoice_id)
    )
    rows = await connection.execute(statement)
    return {invoice_id: (count, price) for invoice_id, count, price in rows}


async def remove_items(connection: AsyncConnection, uuids: Collection[UUID]) -> None:
    """Delete items."""
    await connection.execute(delete(InvoiceItem).where(_is_any(InvoiceItem.uuid, uuids)))


def _charged(line: Any) -> tuple[Any, ...]:
    details = {key: value for key, value in line.details.items() if key not in _NOT_CHARGED}
    return line.name, line.start, line.end, line.credit, details


async def take_over(
    connection: AsyncConnection, invoice_ids: Sequence[int], tax_percent: Decimal
) -> None:
    """Make invoices that were opened here the import's; those with items keep their tax.

    Those that were issued without items are pending again, under their number: what they say is
    not final before it is something.
    """
    await connection.execute(
        update(Invoice)
        .where(Invoice.id.in_(invoice_ids), Invoice.source.is_(None))
        .values(
            source=ImportSource.FOCUS,
            tax_percent=case((_HAS_ITEMS, Invoice.tax_percent), else_=tax_percent),
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


async def customer_names(connection: AsyncConnection, uuids: Collection[UUID]) -> dict[UUID, str]:
    """Return the names of customers, which an operator may have changed, by their UUIDs."""
    statement = select(Customer.uuid, Customer.name).where(_is_any(Customer.uuid, uuids))
    return {row.uuid: row.name for row in await connection.execute(statement)}


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

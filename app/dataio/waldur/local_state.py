"""Queries of the rows of this service that an import from a Waldur must not overwrite or lose."""

from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, Text, cast, delete, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.currencies import Currency
from app.billing.money import item_price
from app.credits.models import CustomerAffiliate, CustomerCredit, ProjectCredit
from app.customers.models import Customer, Project
from app.dataio.records.invoices import InvoiceItemRecord, InvoiceRecord
from app.dataio.registry import RECORD_KIND_BY_MODEL
from app.dataio.waldur.mapping import SOURCE, token_uuid
from app.identity.models import AccessSubnet, CustomerRole, ProjectRole, Token, User
from app.invoices.models import Invoice, InvoiceItem
from app.payments.models import Payment, PaymentProfile

_CHANGED_SINCE_IMPORT: Final = Invoice.imported_revision.is_distinct_from(Invoice.revision)
CUSTOMER_DETAILS: Final = (
    Customer.registration_scheme,
    Customer.buyer_reference,
    Customer.order_reference,
    Customer.contact_name,
    Customer.city,
    Customer.endpoint,
    Customer.endpoint_scheme,
    Customer.language,
    Customer.tax_category,
    Customer.tax_exemption_code,
    Customer.tax_exemption_reason,
)
"""The details of customers that a Waldur does not have, or only in some releases."""
CUSTOMER_ROWS: Final = {
    "customer_role": select(CustomerRole.uuid, Customer.uuid)
    .join_from(CustomerRole, Customer)
    .where(CustomerRole.is_active),
    "project_role": select(ProjectRole.uuid, Customer.uuid)
    .join_from(ProjectRole, Project)
    .join(Customer, Customer.id == Project.customer_id)
    .where(ProjectRole.is_active),
    "access_subnet": select(AccessSubnet.uuid, Customer.uuid).join_from(AccessSubnet, Customer),
    "customer_credit": select(CustomerCredit.uuid, Customer.uuid).join_from(
        CustomerCredit, Customer
    ),
    "project_credit": select(ProjectCredit.uuid, Customer.uuid)
    .join_from(ProjectCredit, Project)
    .join(Customer, Customer.id == Project.customer_id),
    "customer_affiliate": select(CustomerAffiliate.uuid, Customer.uuid)
    .join(Customer, Customer.id == CustomerAffiliate.customer_id)
    .where(CustomerAffiliate.is_active),
}
"""The rows that give access to a customer or money, with the customer, by kind."""
_LARGEST_TOTAL: Final = Decimal(10) ** 19
"""An invoice can hold this total with any tax and any order of its items."""


async def load_customer_details(connection: AsyncConnection) -> dict[UUID, dict[str, str]]:
    """Return the details that a Waldur does not have, of the customers that have any."""
    has_any = or_(*(column != "" for column in CUSTOMER_DETAILS))
    rows = await connection.execute(select(Customer.uuid, *CUSTOMER_DETAILS).where(has_any))
    names = [column.key for column in CUSTOMER_DETAILS]
    return {uuid: dict(zip(names, details, strict=True)) for uuid, *details in rows}


async def lock_stored_invoices(
    connection: AsyncConnection, uuids: Collection[UUID]
) -> dict[UUID, bool]:
    """Return the stored invoices, and whether they were changed here. Locks their rows."""
    rows = await connection.execute(
        select(Invoice.uuid, _CHANGED_SINCE_IMPORT.label("changed"))
        .where(Invoice.uuid.in_(uuids))
        .order_by(Invoice.id)
        .with_for_update()
    )
    return {row.uuid: row.changed for row in rows}


async def find_conflicts(
    connection: AsyncConnection, invoices: Sequence[InvoiceRecord]
) -> dict[UUID, str]:
    """Return the invoices that have the month or number of another stored invoice."""
    months = {(each.customer, each.year, each.month): each.uuid for each in invoices}
    numbers = {each.number: each.uuid for each in invoices}
    rows = await connection.execute(
        select(Invoice.uuid, Invoice.number, Invoice.year, Invoice.month, Customer.uuid)
        .join_from(Invoice, Customer)
        .where(
            or_(
                tuple_(Customer.uuid, Invoice.year, Invoice.month).in_(list(months)),
                Invoice.number.in_(list(numbers)),
            )
        )
    )
    conflicts: dict[UUID, str] = {}
    for uuid, number, year, month, customer in rows:
        same_month = months.get((customer, year, month), uuid)
        if same_month != uuid:
            conflicts[same_month] = "the customer has another invoice for this month here"
        same_number = numbers.get(number, uuid)
        if same_number != uuid:
            conflicts.setdefault(same_number, "another invoice has its number here")
    return conflicts


async def find_items_of_changed_invoices(
    connection: AsyncConnection, items: Iterable[InvoiceItemRecord]
) -> set[UUID]:
    """Return those of the items that are on an invoice that was changed here."""
    uuids = [each.uuid for each in items]
    statement = (
        select(InvoiceItem.uuid)
        .join_from(InvoiceItem, Invoice)
        .where(InvoiceItem.uuid.in_(uuids), _CHANGED_SINCE_IMPORT)
    )
    return set(await connection.scalars(statement))


async def find_payments_of_changed_invoices(connection: AsyncConnection) -> set[UUID]:
    """Return the payments of invoices that were changed here."""
    statement = (
        select(Payment.uuid)
        .join_from(Payment, Invoice, Payment.invoice_id == Invoice.id)
        .where(_CHANGED_SINCE_IMPORT)
    )
    return set(await connection.scalars(statement))


async def find_missing_references(
    connection: AsyncConnection, records: Sequence[InvoiceRecord | InvoiceItemRecord]
) -> dict[UUID, str]:
    """Return the records, all of one kind, that name a record that is not stored.

    Does not check the invoices of items, which are imported with them.
    """
    missing: dict[UUID, str] = {}
    for reference in RECORD_KIND_BY_MODEL[type(records[0])].references if records else ():
        if reference.target is Invoice.__table__:
            continue
        named: dict[UUID | None, Any] = {getattr(each, reference.field): None for each in records}
        named.pop(None, None)
        if not named:
            continue
        uuid = reference.target.c.uuid
        stored = set(await connection.scalars(select(uuid).where(uuid.in_(list(named)))))
        name = reference.field.replace("_", " ")
        for each in records:
            if getattr(each, reference.field) not in (None, *stored):
                missing[each.uuid] = f"its {name} was not imported"
    return missing


def exceeds_largest_total(items: Iterable[InvoiceItemRecord], currency: Currency) -> bool:
    """Return whether the items add up to more than an invoice can hold."""
    prices = (item_price(each.unit_price, each.quantity, currency) for each in items)
    return sum(map(abs, prices), Decimal(0)) >= _LARGEST_TOTAL


async def find_deleted_invoices(connection: AsyncConnection, seen: Collection[UUID]) -> list[str]:
    """Return the numbers of the invoices that came from Waldur and that it has deleted."""
    rows = await connection.execute(
        select(Invoice.uuid, Invoice.number)
        .where(Invoice.source == SOURCE)
        .order_by(Invoice.number)
    )
    return [f"number {number}" for uuid, number in rows if uuid not in seen]


async def revoke_deleted_tokens(connection: AsyncConnection, seen: Collection[UUID]) -> int:
    """Revoke the tokens that came from Waldur and that it has deleted; return their number."""
    rows = await connection.execute(
        select(Token.id, Token.uuid, User.uuid)
        .join_from(Token, User)
        .where(Token.revoked_at.is_(None))
    )
    deleted = [key for key, uuid, user in rows if uuid == token_uuid(user) and uuid not in seen]
    if deleted:
        await connection.execute(
            update(Token).values(revoked_at=clock.now()).where(Token.id.in_(deleted))
        )
    return len(deleted)


async def delete_access_subnets(connection: AsyncConnection, uuids: Sequence[str]) -> int:
    """Delete access subnets by the text of their UUIDs; return their number."""
    statement = delete(AccessSubnet).where(cast(AccessSubnet.uuid, Text).in_(uuids))
    return (await connection.execute(statement)).rowcount


async def deactivate_others(
    connection: AsyncConnection,
    entity: type[PaymentProfile] | type[CustomerAffiliate],
    customers: Collection[UUID],
    known: Collection[UUID],
) -> list[str]:
    """Deactivate the rows of customers that are not `known`; return their UUIDs.

    A customer has at most one active row of the entity, and Waldur has another active one.
    """
    rows = await connection.execute(
        select(entity.uuid, Customer.uuid)
        .join(Customer, Customer.id == entity.customer_id)
        .where(entity.is_active)
    )
    others = [uuid for uuid, customer in rows if customer in customers and uuid not in known]
    if others:
        await connection.execute(
            update(entity).where(entity.uuid.in_(others)).values(is_active=False)
        )
    return [str(uuid) for uuid in others]


async def find_rows_missing_in_waldur(
    connection: AsyncConnection,
    rows: Select[UUID, UUID],
    customers: Collection[UUID],
    seen: Collection[UUID],
) -> list[str]:
    """Return which of the rows, each with its customer, are at Waldur's customers but not seen."""
    found = await connection.execute(rows)
    return [str(uuid) for uuid, customer in found if customer in customers and uuid not in seen]

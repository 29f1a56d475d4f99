"""Queries of all that was billed for the bill of an issued invoice: lines, credits, differences."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import BillingUnit, ImportSource, InvoiceState
from app.billing.periods import Period
from app.billing.restatement import BilledItems, IssuedLine
from app.catalogue.models import Offering, Resource
from app.credit_notes.queries import credited as credit_notes
from app.credit_notes.queries.credited import CreditedPart
from app.customers.models import Project
from app.database.statements import equals_any
from app.dataio.focus.stored_invoices import StoredInvoice
from app.dataio.records.invoices import InvoiceItemRecord
from app.invoices.models import IS_DIFFERENCE, RESTATED_ITEM, Invoice, InvoiceItem
from app.invoices.states import CHANGEABLE, CREDITABLE

RESTATED_INVOICE: Final = "restated_invoice"
"""The key in the details of a difference of the UUID of the issued invoice that it corrects."""
_NOTHING: Final = CreditedPart(Decimal(0), Decimal(0))


@dataclass(frozen=True, slots=True)
class PendingDifference:
    """A difference on an invoice that is not issued."""

    line: UUID
    invoice: UUID
    period: Period
    """The month of the invoice."""


@dataclass(frozen=True, slots=True)
class BilledInvoice:
    """An issued invoice of a bill, with the credit notes and differences of its restatements."""

    items: BilledItems
    pending: Mapping[UUID, PendingDifference]
    """The differences that are not issued, by item."""
    was_restated: bool
    """Whether an import has credited a part or billed a difference before."""
    is_final: bool
    """Whether it was canceled, and not by the credit note of a restatement."""


async def load_billed_invoice(
    connection: AsyncConnection,
    invoice: StoredInvoice,
    items: Iterable[Row[*tuple[Any, ...]]],
    rounding: tuple[UUID, Decimal],
) -> BilledInvoice:
    """Return the billed items of the bill of an invoice.

    `items` are from `load_imported_items`, `rounding` is the item by which an earlier release
    rounded the invoice, and its price.
    """
    differences = await _load_differences(connection, invoice)
    pending = [row for row in differences if row.state in CHANGEABLE]
    # One on an invoice that was canceled before its issue was never billed.
    issued = [row for row in differences if row.invoice_date and row.state not in CHANGEABLE]
    invoices = {invoice.id: str(invoice.state)} | {row.invoice_id: row.state for row in issued}
    credited = await credit_notes.find_credited_parts(connection, invoices)
    own = [(each.uuid, each.uuid, invoice.id, each.price) for each in items]
    if rounding[1]:
        own.append((rounding[0], rounding[0], invoice.id, rounding[1]))
    others = [(UUID(row.item), row.uuid, row.invoice_id, row.price) for row in issued]
    lines = []
    for item, line, invoice_id, price in own + others:
        part = credited.get(line, _NOTHING)
        rest = price - part.price if invoices[invoice_id] in CREDITABLE else Decimal(0)
        lines.append(IssuedLine(item, line, invoice_id, price, part.restated, rest))
    is_credited_by_import = (
        await credit_notes.find_last_source(connection, invoice.id) == ImportSource.FOCUS
    )
    return BilledInvoice(
        BilledItems(
            lines,
            {UUID(row.item): row.price for row in pending},
            await _load_rests(connection, invoices),
        ),
        {
            UUID(row.item): PendingDifference(row.uuid, row.invoice, Period(row.year, row.month))
            for row in pending
        },
        bool(differences) or any(part.restated for part in credited.values()),
        invoice.state == InvoiceState.CANCELED and not is_credited_by_import,
    )


async def _load_differences(
    connection: AsyncConnection, invoice: StoredInvoice
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return the differences of an invoice's bill, in the order of their invoices' issue."""
    customer = select(Invoice.customer_id).where(Invoice.id == invoice.id).scalar_subquery()
    statement = (
        select(
            InvoiceItem.uuid,
            InvoiceItem.price,
            InvoiceItem.details[RESTATED_ITEM].astext.label("item"),
            InvoiceItem.invoice_id,
            Invoice.uuid.label("invoice"),
            Invoice.year,
            Invoice.month,
            Invoice.state,
            Invoice.invoice_date,
        )
        .join(Invoice, Invoice.id == InvoiceItem.invoice_id)
        .where(
            IS_DIFFERENCE,
            Invoice.customer_id == customer,
            InvoiceItem.details[RESTATED_INVOICE].astext == str(invoice.uuid),
        )
        .order_by(Invoice.invoice_date, Invoice.id, InvoiceItem.id)
    )
    return (await connection.execute(statement)).all()


async def _load_rests(
    connection: AsyncConnection, invoice_ids: Collection[int]
) -> Mapping[int, Decimal]:
    credited = await credit_notes.sum_credit_notes(connection, invoice_ids)
    statement = select(Invoice.id, Invoice.total_price).where(equals_any(Invoice.id, invoice_ids))
    return {
        row.id: row.total_price - credited.get(row.id, Decimal(0))
        for row in await connection.execute(statement)
    }


async def load_item_records(
    connection: AsyncConnection, uuids: Collection[UUID]
) -> dict[UUID, InvoiceItemRecord]:
    """Return the records of stored items of cost exports by their UUIDs."""
    statement = (
        select(
            InvoiceItem.uuid,
            Invoice.uuid.label("invoice"),
            InvoiceItem.name,
            InvoiceItem.unit_price,
            InvoiceItem.quantity,
            InvoiceItem.price,
            InvoiceItem.unit,
            InvoiceItem.start,
            InvoiceItem.end,
            Project.uuid.label("project"),
            InvoiceItem.project_name,
            InvoiceItem.project_uuid,
            Resource.uuid.label("resource"),
            Offering.uuid.label("offering"),
            InvoiceItem.details,
            InvoiceItem.credit,
        )
        .join(Invoice, Invoice.id == InvoiceItem.invoice_id)
        .outerjoin(Project, Project.id == InvoiceItem.project_id)
        .outerjoin(Resource, Resource.id == InvoiceItem.resource_id)
        .outerjoin(Offering, Offering.id == InvoiceItem.offering_id)
        .where(equals_any(InvoiceItem.uuid, uuids))
    )
    rows = (await connection.execute(statement)).mappings()
    return {
        row["uuid"]: InvoiceItemRecord(**dict(row) | {"unit": BillingUnit(row["unit"])})
        for row in rows
    }

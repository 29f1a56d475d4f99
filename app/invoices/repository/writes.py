"""The statements that change invoices, for the actions."""

from collections.abc import Collection
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Row, and_, case, exists, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState, PaymentType
from app.database.statements import equals_any
from app.invoices import states
from app.invoices.errors import InvoiceNotFound
from app.invoices.models import Invoice, InvoiceItem
from app.payments.models import PaymentProfile

EDITABLE_TEXTS: Final = {"backend_id": 255, "payment_url": 200, "reference_number": 300}
"""Texts that staff may set in any state, and their maximum lengths in characters."""

_HAS_FIXED_PRICE: Final = (
    exists()
    .where(
        PaymentProfile.customer_id == Invoice.customer_id,
        PaymentProfile.is_active,
        PaymentProfile.payment_type == PaymentType.FIXED_PRICE,
    )
    .correlate(Invoice)
)
_HAS_CHARGES: Final = (
    exists().where(InvoiceItem.invoice_id == Invoice.id, InvoiceItem.price > 0).correlate(Invoice)
)
_IS_NOTIFIABLE: Final = case(
    (
        Invoice.total_cost == 0,
        and_(Invoice.state.in_(states.ISSUED), not_(_HAS_FIXED_PRICE), _HAS_CHARGES),
    ),
    else_=Invoice.state.in_(states.PAY.valid),
).label("is_notifiable")
"""Whether the service itself notifies the customer: the invoice asks for money, returns money, or
shows that credits paid for everything."""


class FoundByUuid(NamedTuple):
    """An invoice, found by its UUID without a check of access."""

    id: int
    number: int
    state: InvoiceState


async def find_invoice(
    connection: AsyncConnection, uuid: UUID, *, lock: bool = False
) -> FoundByUuid:
    """Find an invoice for a command, and lock it if asked to; raises `InvoiceNotFound`."""
    statement = select(Invoice.id, Invoice.number, Invoice.state).where(Invoice.uuid == uuid)
    if lock:
        statement = statement.with_for_update()
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise InvoiceNotFound
    return FoundByUuid(row.id, row.number, InvoiceState(row.state))


async def lock_state(connection: AsyncConnection, invoice_id: int) -> InvoiceState | None:
    """Lock an invoice and return its state; None if the invoice does not exist."""
    statement = select(Invoice.state).where(Invoice.id == invoice_id).with_for_update()
    state = (await connection.execute(statement)).scalar_one_or_none()
    return None if state is None else InvoiceState(state)


class PayableInvoice(NamedTuple):
    """An invoice to which a payment may be linked, locked until the transaction ends."""

    id: int
    customer_id: int
    state: str
    total_cost: Decimal


async def lock_for_payment(connection: AsyncConnection, uuid: UUID) -> PayableInvoice | None:
    """Lock an invoice to which a payment is linked; None if it does not exist."""
    statement = (
        select(Invoice.id, Invoice.customer_id, Invoice.state, Invoice.total_cost)
        .where(Invoice.uuid == uuid)
        .with_for_update(key_share=True)
    )
    row = (await connection.execute(statement)).one_or_none()
    return row and PayableInvoice(*row)


class IssuedRow(NamedTuple):
    """An invoice that was issued."""

    id: int
    uuid: UUID
    state: str
    source: str | None
    is_notifiable: bool


async def mark_issued(
    connection: AsyncConnection, invoice_ids: Collection[int], invoice_date: date, due_date: date
) -> dict[int, IssuedRow]:
    """Mark pending invoices, which are locked, as issued; return those that were pending by id.

    Each becomes paid if its total with tax is zero or the customer's active payment profile is a
    fixed price contract, else created.
    """
    statement = (
        update(Invoice)
        .where(equals_any(Invoice.id, invoice_ids), Invoice.state.in_(states.ISSUE.valid))
        .values(
            state=case(
                (or_(Invoice.total_cost == 0, _HAS_FIXED_PRICE), states.ISSUE_AS_PAID.to),
                else_=states.ISSUE.to,
            ),
            invoice_date=invoice_date,
            due_date=due_date,
        )
        .returning(Invoice.id, Invoice.uuid, Invoice.state, Invoice.source, _IS_NOTIFIABLE)
    )
    return {row.id: IssuedRow(*row) for row in await connection.execute(statement)}


async def mark_paid(connection: AsyncConnection, invoice_id: int) -> Row[int, Decimal] | None:
    """Mark a created invoice as paid; return its `customer_id`, and `due`, the sum to be paid.

    Returns None if the invoice is not created.
    """
    statement = (
        update(Invoice)
        .where(Invoice.id == invoice_id, Invoice.state.in_(states.PAY.valid))
        .values(state=states.PAY.to)
        .returning(Invoice.customer_id, (Invoice.total_cost - Invoice.credited).label("due"))
    )
    return (await connection.execute(statement)).one_or_none()


async def mark_canceled(connection: AsyncConnection, invoice_id: int, reason: str) -> bool:
    """Mark a pending or created invoice as canceled; return whether it was in such a state."""
    statement = (
        update(Invoice)
        .where(Invoice.id == invoice_id, Invoice.state.in_(states.CANCEL.valid))
        .values(state=states.CANCEL.to, cancel_reason=reason)
    )
    return bool((await connection.execute(statement)).rowcount)


async def set_text(connection: AsyncConnection, invoice_id: int, field: str, value: str) -> None:
    """Set one of the `EDITABLE_TEXTS`; an equal value writes nothing."""
    column = Invoice.__table__.c[field]
    statement = (
        update(Invoice).where(Invoice.id == invoice_id, column != value).values({field: value})
    )
    await connection.execute(statement)


async def lock_if_notifiable(connection: AsyncConnection, invoice_id: int) -> bool:
    """Return whether the service itself may notify the customer of the invoice, and lock it.

    That is a created invoice whose total is not zero; and one of zero, created or paid, with items
    that cost something, unless the customer has a fixed price contract.
    """
    statement = (
        select(_IS_NOTIFIABLE)
        .where(Invoice.id == invoice_id)
        .with_for_update(read=True, of=Invoice)
    )
    return bool((await connection.execute(statement)).scalar_one())

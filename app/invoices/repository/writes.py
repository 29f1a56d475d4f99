"""The statements that change a single invoice, for the actions."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final
from uuid import UUID

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.invoices.models import Invoice

ANNOTATIONS: Final = {"backend_id": 255, "payment_url": 200, "reference_number": 300}
"""Texts that staff may set in any state, and their greatest lengths in characters."""


async def locked_state_of(connection: AsyncConnection, invoice_id: int) -> InvoiceState | None:
    """Return the state of an invoice, which stays so until the caller's transaction ends."""
    statement = select(Invoice.state).where(Invoice.id == invoice_id).with_for_update()
    state = (await connection.execute(statement)).scalar_one_or_none()
    return None if state is None else InvoiceState(state)


async def settle(connection: AsyncConnection, invoice_id: int) -> Row[int, Decimal] | None:
    """Mark a created invoice as paid; return its `customer_id` and `total_cost`.

    Returns None, and changes nothing, where its state is another one.
    """
    statement = (
        update(Invoice)
        .where(Invoice.id == invoice_id, Invoice.state == InvoiceState.CREATED)
        .values(state=InvoiceState.PAID)
        .returning(Invoice.customer_id, Invoice.total_cost)
    )
    return (await connection.execute(statement)).one_or_none()


async def cancel(
    connection: AsyncConnection, uuid: UUID, states: Sequence[InvoiceState], reason: str
) -> int | None:
    """Mark an invoice as canceled if it is in one of the states; return its number, else None."""
    statement = (
        update(Invoice)
        .where(Invoice.uuid == uuid, Invoice.state.in_(states))
        .values(state=InvoiceState.CANCELED, cancel_reason=reason)
        .returning(Invoice.number)
    )
    return (await connection.execute(statement)).scalar_one_or_none()


async def number_and_state(connection: AsyncConnection, uuid: UUID) -> Row[int, str] | None:
    """Return the number and the state of an invoice; None if it does not exist."""
    statement = select(Invoice.number, Invoice.state).where(Invoice.uuid == uuid)
    return (await connection.execute(statement)).one_or_none()


async def annotate(connection: AsyncConnection, invoice_id: int, field: str, value: str) -> None:
    """Set one of the `ANNOTATIONS`; nothing is written where it has that value already."""
    column = Invoice.__table__.c[field]
    statement = (
        update(Invoice).where(Invoice.id == invoice_id, column != value).values({field: value})
    )
    await connection.execute(statement)

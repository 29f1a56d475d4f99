"""The action `cancel`: which states it allows, and what it stores."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.credit_notes.actions.cancel import CancelInvoice, cancel
from app.database.engine import Database
from app.invoices.errors import MissingReason, WrongInvoiceState
from app.invoices.models import Invoice
from app.settings import Settings
from tests.support.factories import Factories


async def stored(connection: AsyncConnection, uuid: UUID) -> tuple[str, str]:
    statement = select(Invoice.state, Invoice.cancel_reason).where(Invoice.uuid == uuid)
    row = (await connection.execute(statement)).one()
    return row.state, row.cancel_reason


@pytest.mark.parametrize("state", [InvoiceState.PENDING, InvoiceState.CREATED])
async def test_a_pending_or_created_invoice_is_canceled_with_its_reason(
    database: Database,
    connection: AsyncConnection,
    make: Factories,
    settings: Settings,
    state: InvoiceState,
) -> None:
    invoice = await make.invoice(await make.customer(), state=state)
    command = CancelInvoice(invoice.id, "  Billed twice ")
    async with database.transaction() as transaction:
        await cancel(transaction, command, settings)
    assert await stored(connection, invoice.uuid) == ("canceled", "Billed twice")


@pytest.mark.parametrize("state", [InvoiceState.PAID, InvoiceState.CANCELED])
async def test_an_invoice_in_another_state_is_not_canceled(
    connection: AsyncConnection, make: Factories, settings: Settings, state: InvoiceState
) -> None:
    invoice = await make.invoice(await make.customer(), state=state, cancel_reason="As it was")
    with pytest.raises(
        WrongInvoiceState, match=r"operation: Pending, Pending finalization, Created\.$"
    ):
        await cancel(connection, CancelInvoice(invoice.id, "Why not"), settings)
    assert await stored(connection, invoice.uuid) == (state, "As it was")


async def test_a_cancellation_needs_a_reason(
    connection: AsyncConnection, make: Factories, settings: Settings
) -> None:
    invoice = await make.invoice(await make.customer())
    with pytest.raises(MissingReason, match="A reason is needed"):
        await cancel(connection, CancelInvoice(invoice.id, " \n"), settings)
    assert await stored(connection, invoice.uuid) == ("pending", "")


async def test_two_at_once_cancel_once(
    database: Database, connection: AsyncConnection, make: Factories, settings: Settings
) -> None:
    invoice = await make.invoice(await make.customer())

    async def attempt(reason: str) -> str | None:
        try:
            async with database.transaction() as transaction:
                await cancel(transaction, CancelInvoice(invoice.id, reason), settings)
        except WrongInvoiceState:
            return None
        return reason

    reasons = await asyncio.gather(attempt("one"), attempt("two"))
    (reason,) = [reason for reason in reasons if reason]
    assert await stored(connection, invoice.uuid) == ("canceled", reason)

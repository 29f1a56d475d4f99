"""An operator cancels an invoice: from which states, and what is kept."""

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.database.engine import Database
from app.invoices.actions.cancel import CannotCancel, cancel
from app.invoices.models import Invoice
from tests.support.factories import Factories


async def kept(connection: AsyncConnection, uuid: UUID) -> tuple[str, str]:
    statement = select(Invoice.state, Invoice.cancel_reason).where(Invoice.uuid == uuid)
    row = (await connection.execute(statement)).one()
    return row.state, row.cancel_reason


@pytest.mark.parametrize("state", [InvoiceState.PENDING, InvoiceState.CREATED])
async def test_a_pending_or_created_invoice_is_canceled_with_its_reason(
    database: Database, connection: AsyncConnection, make: Factories, state: InvoiceState
) -> None:
    invoice = await make.invoice(await make.customer(), state=state, number=123)
    async with database.transaction() as writing:
        assert await cancel(writing, invoice.uuid, "  Billed twice ") == 123
    assert await kept(connection, invoice.uuid) == ("canceled", "Billed twice")


@pytest.mark.parametrize("state", [InvoiceState.PAID, InvoiceState.CANCELED])
async def test_no_other_invoice_is_canceled(
    connection: AsyncConnection, make: Factories, state: InvoiceState
) -> None:
    invoice = await make.invoice(
        await make.customer(), state=state, number=123, cancel_reason="As it was"
    )
    with pytest.raises(CannotCancel) as caught:
        await cancel(connection, invoice.uuid, "Why not")
    assert str(caught.value) == (
        f"Invoice 123 is {state}; only one that is pending or created can be canceled."
    )
    assert await kept(connection, invoice.uuid) == (state, "As it was")


async def test_an_unknown_invoice_or_no_reason(
    connection: AsyncConnection, make: Factories
) -> None:
    unknown = uuid4()
    with pytest.raises(CannotCancel, match=f"There is no invoice {unknown}"):
        await cancel(connection, unknown, "Why")
    invoice = await make.invoice(await make.customer())
    with pytest.raises(CannotCancel, match="A reason is needed"):
        await cancel(connection, invoice.uuid, " \n")
    assert await kept(connection, invoice.uuid) == ("pending", "")


async def test_two_at_once_cancel_once(
    database: Database, connection: AsyncConnection, make: Factories
) -> None:
    invoice = await make.invoice(await make.customer())

    async def attempt(reason: str) -> str | None:
        try:
            async with database.transaction() as writing:
                await cancel(writing, invoice.uuid, reason)
        except CannotCancel:
            return None
        return reason

    reasons = await asyncio.gather(attempt("one"), attempt("two"))
    (reason,) = [reason for reason in reasons if reason]
    assert await kept(connection, invoice.uuid) == ("canceled", reason)

"""The action `pay`, called without a request, as a job or a command calls it."""

from contextlib import closing
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.database.engine import Database
from app.invoices.actions.pay import PayInvoice, pay, remove_unused_proof
from app.invoices.errors import NoActiveProfile, WrongInvoiceState
from app.invoices.models import Invoice
from app.payments.models import Payment
from app.payments.proof_store.folder import FolderStore
from app.payments.proof_store.incoming import IncomingProof
from app.payments.proofs import Proof
from app.settings import Settings
from tests.support.factories import Factories, Row

DATE = date(2026, 11, 5)


@pytest.fixture
async def invoice(make: Factories) -> Row:
    return await make.payable_invoice("100.19")


@pytest.fixture
def proofs(settings: Settings) -> FolderStore:
    return FolderStore(settings.proof_dir, settings.proof_max_bytes)


@pytest.fixture
async def proof(proofs: FolderStore) -> Proof:
    with closing(IncomingProof(proofs)) as incoming:
        await incoming.begin("receipt.pdf")
        await incoming.write(b"%PDF-1.7\n")
        return await incoming.finish()


async def test_a_payment_of_the_total_is_recorded(
    database: Database, connection: AsyncConnection, invoice: Row
) -> None:
    async with database.transaction() as transaction:
        paid = await pay(transaction, PayInvoice(invoice.id, DATE))
    row = (await connection.execute(select(Payment.uuid, Payment.sum))).one()
    assert paid == row.uuid
    assert row.sum == Decimal("120.23")


async def test_without_a_date_no_payment_is_recorded(
    database: Database, connection: AsyncConnection, invoice: Row
) -> None:
    async with database.transaction() as transaction:
        assert await pay(transaction, PayInvoice(invoice.id)) is None
    assert (await connection.execute(select(Invoice.state))).scalar_one() == "paid"
    assert (await connection.execute(select(Payment.id))).all() == []


async def test_another_state_is_refused(connection: AsyncConnection, make: Factories) -> None:
    invoice = await make.invoice(await make.customer())
    with pytest.raises(WrongInvoiceState, match=r"^Valid states for operation: Created\.$"):
        await pay(connection, PayInvoice(invoice.id, DATE))


async def test_a_payment_needs_an_active_profile(database: Database, make: Factories) -> None:
    invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    async with database.transaction() as transaction:
        with pytest.raises(NoActiveProfile):
            await pay(transaction, PayInvoice(invoice.id, DATE))


async def test_the_proof_of_a_failed_payment_is_removed(
    database: Database, proofs: FolderStore, proof: Proof, invoice: Row
) -> None:
    command = PayInvoice(invoice.id, DATE, proof)

    async def fail() -> None:
        async with (
            remove_unused_proof(database, proofs, command),
            database.transaction() as transaction,
        ):
            await pay(transaction, command)
            await transaction.execute(text("SELECT 1 / 0"))

    with pytest.raises(DBAPIError):
        await fail()
    assert not proofs.path(proof.key).exists()


async def test_an_error_after_the_commit_keeps_the_proof(
    database: Database, proofs: FolderStore, proof: Proof, invoice: Row
) -> None:
    command = PayInvoice(invoice.id, DATE, proof)
    async with remove_unused_proof(database, proofs, command):
        async with database.transaction() as transaction:
            await pay(transaction, command)
        raise ConnectionResetError
    assert proofs.path(proof.key).exists()

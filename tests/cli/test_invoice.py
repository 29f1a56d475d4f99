"""`invoice pay`: an operator marks an invoice as paid by the same action as the API."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.invoices.models import Invoice
from app.payments.models import Payment
from app.settings import Settings
from tests.cli.test_payments import PDF, call
from tests.support.factories import Factories, Row


@pytest.fixture
async def invoice(make: Factories) -> Row:
    return await make.payable_invoice("100.19", number=100123)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.html"
    path.write_bytes(b"<html>")
    return path


@pytest.fixture
def proof(tmp_path: Path, settings: Settings) -> Path:
    settings.proof_dir.mkdir(exist_ok=True)
    path = tmp_path / "receipt.pdf"
    path.write_bytes(PDF)
    return path


async def state(connection: AsyncConnection) -> str:
    return (await connection.execute(select(Invoice.state))).scalar_one()


def stored_proofs(settings: Settings) -> list[str]:
    return [file.name for file in settings.proof_dir.iterdir()]


async def test_without_a_date_no_payment_is_recorded(
    settings: Settings, connection: AsyncConnection, invoice: Row
) -> None:
    answer = await call(settings, "invoice", "pay", invoice.uuid.hex)
    assert answer == (0, "Invoice 100123 is paid.\n", "")
    assert await state(connection) == "paid"
    assert (await connection.execute(select(Payment.id))).all() == []


async def test_a_payment_is_recorded_with_its_proof(
    settings: Settings, connection: AsyncConnection, invoice: Row, proof: Path
) -> None:
    arguments = ("--date", "2026-11-05", "--proof", str(proof))
    answer = await call(settings, "invoice", "pay", str(invoice.uuid), *arguments)
    assert answer == (0, "Invoice 100123 is paid.\n", "")
    payment = (await connection.execute(select(*Payment.__table__.c))).one()
    assert (payment.invoice_id, payment.sum) == (invoice.id, Decimal("120.23"))
    assert payment.date_of_payment == date(2026, 11, 5)
    assert (payment.proof_name, payment.proof_media_type) == ("receipt.pdf", "application/pdf")
    assert stored_proofs(settings) == [payment.proof_key]
    assert (settings.proof_dir / payment.proof_key).read_bytes() == PDF


async def test_the_audit_record_names_the_command_and_its_comment(
    settings: Settings, connection: AsyncConnection, invoice: Row
) -> None:
    await call(settings, "invoice", "pay", str(invoice.uuid), "--comment", "Seen on the account")
    entry = text("SELECT operation, comment FROM invoice_history ORDER BY id DESC LIMIT 1")
    assert (await connection.execute(entry)).one() == ("pay", "Seen on the account")


@pytest.mark.parametrize("with_proof", [False, True])
async def test_an_invoice_in_another_state_is_refused_and_no_proof_is_left(
    settings: Settings, make: Factories, proof: Path, *, with_proof: bool
) -> None:
    invoice = await make.invoice(await make.customer(), number=100200)
    arguments = ["--date", "2026-11-05", *(["--proof", str(proof)] if with_proof else [])]
    answer = await call(settings, "invoice", "pay", str(invoice.uuid), *arguments)
    message = "Invoice 100200 is pending; only one that is created can be paid.\n"
    assert answer == (1, "", message)
    assert stored_proofs(settings) == []


async def test_a_payment_needs_an_active_profile(
    settings: Settings, connection: AsyncConnection, make: Factories, proof: Path
) -> None:
    invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    arguments = ("--date", "2026-11-05", "--proof", str(proof))
    answer = await call(settings, "invoice", "pay", str(invoice.uuid), *arguments)
    assert answer == (1, "", "The active profile for this customer does not exist.\n")
    assert await state(connection) == "created"
    assert stored_proofs(settings) == []


async def test_an_unknown_invoice_is_refused(settings: Settings, make: Factories) -> None:
    customer = await make.customer()
    answer = await call(settings, "invoice", "pay", str(customer.uuid))
    assert answer == (1, "", f"There is no invoice {customer.uuid}.\n")


async def test_a_file_that_is_no_proof_is_refused(
    settings: Settings, connection: AsyncConnection, invoice: Row, page: Path
) -> None:
    arguments = ("--date", "2026-11-05", "--proof", str(page))
    code, _, message = await call(settings, "invoice", "pay", str(invoice.uuid), *arguments)
    assert (code, await state(connection)) == (1, "created")
    assert "unknown type" in message


async def test_a_proof_needs_a_date(settings: Settings, invoice: Row, proof: Path) -> None:
    code, _, message = await call(
        settings, "invoice", "pay", str(invoice.uuid), "--proof", str(proof)
    )
    assert (code, message) == (2, "A proof is stored with a payment only: give --date, too.\n")

"""The commands about single invoices and payments, as an operator calls them."""

import asyncio
import json
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from typer.testing import CliRunner

from app.billing.enums import InvoiceState
from app.cli.main import cli
from app.invoices.models import Invoice
from app.payments.proof_store.folder import FolderStore
from app.payments.proof_store.incoming import IncomingProof
from app.payments.proofs import Proof
from app.settings import Settings
from tests.support.factories import Factories, Row
from tests.support.object_store import ObjectStore

PDF = b"%PDF-1.7\n\0\xff"


async def call(settings: Settings, *arguments: str, **environment: str) -> tuple[int, str, str]:
    environment |= {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "PROOF_DIR": str(settings.proof_dir),
    }
    # In a thread: a command has an event loop of its own.
    answer = await asyncio.to_thread(CliRunner().invoke, cli, arguments, env=environment)
    return answer.exit_code, answer.stdout, answer.stderr


async def keep(settings: Settings, name: str) -> Proof:
    store = FolderStore(settings.proof_dir, settings.proof_max_bytes)
    with closing(IncomingProof(store)) as incoming:
        await incoming.begin(name)
        await incoming.write(PDF)
        return await incoming.finish()


async def pay(make: Factories, customer: Row, invoice: Row | None, proof: Proof | None) -> Row:
    columns = {}
    if proof:
        columns = {
            "proof_key": proof.key,
            "proof_name": proof.name,
            "proof_media_type": proof.media_type,
            "proof_size": proof.size,
            "proof_sha256": proof.sha256,
        }
    profile = await make.profile(customer)
    return await make.payment(profile, invoice_id=invoice.id if invoice else None, **columns)


async def test_invoice_cancel(
    settings: Settings, connection: AsyncConnection, make: Factories
) -> None:
    invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED, number=100123)
    command = ("invoice", "cancel", invoice.uuid.hex, "--why", "Billed twice")
    assert await call(settings, *command) == (0, "Invoice 100123 is canceled.\n", "")
    statement = select(Invoice.cancel_reason).where(Invoice.id == invoice.id)
    assert (await connection.execute(statement)).scalar_one() == "Billed twice"
    message = (
        "Invoice 100123 is canceled;"
        " only one that is pending, pending_finalization or created can be canceled.\n"
    )
    assert await call(settings, *command) == (1, "", message)


async def test_payment_list(settings: Settings, make: Factories) -> None:
    first = await make.customer(name="First [bold] " + "x" * 100)
    second = await make.customer(name="Second")
    invoice = await make.invoice(first, state=InvoiceState.PAID, number=100200)
    proof = await keep(settings, "receipt.pdf")
    paid = await pay(make, first, invoice, proof)
    other = await make.payment(
        await make.profile(second), sum=Decimal("0.50"), date_of_payment=date(2026, 1, 2)
    )

    code, table, _ = await call(settings, "payment", "list")
    assert code == 0
    heading, *lines = table.splitlines()
    assert heading.split() == ["payment", "date", "sum", "customer", "invoice", "proof"]
    assert [line.split()[0] for line in lines] == [str(paid.uuid), str(other.uuid)]
    assert "First [bold] " + "x" * 100 in lines[0]
    assert lines[0].split()[-2:] == ["100200", "receipt.pdf"]

    for option in (f"--customer={first.uuid}", f"--invoice={invoice.uuid.hex}"):
        code, answer, _ = await call(settings, "payment", "list", "--json", option)
        assert json.loads(answer) == [
            {
                "uuid": str(paid.uuid),
                "date_of_payment": "2026-11-05",
                "sum": "10.00",
                "customer_uuid": str(first.uuid),
                "customer_name": "First [bold] " + "x" * 100,
                "invoice_uuid": str(invoice.uuid),
                "invoice_number": 100200,
                "proof_name": "receipt.pdf",
                "proof_media_type": "application/pdf",
                "proof_size": len(PDF),
            }
        ]
    code, answer, _ = await call(settings, "payment", "list", "--json", f"--customer={uuid4()}")
    assert json.loads(answer) == []


async def test_proof_get(
    settings: Settings, make: Factories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await make.customer()
    proof = await keep(settings, "receipt.pdf")
    payment = await pay(make, customer, None, proof)
    bare = await make.payment(await make.profile(await make.customer()))
    target = tmp_path / "copy.pdf"
    command = ("proof", "get", str(payment.uuid), "-o", str(target))

    output = f"{target}: application/pdf, {len(PDF)} bytes.\n"
    assert await call(settings, *command) == (0, output, "")
    assert target.read_bytes() == PDF
    code, _, output = await call(settings, *command)
    assert (code, target.read_bytes()) == (1, PDF)
    assert "File exists" in output

    monkeypatch.chdir(tmp_path)
    code, _, _ = await call(settings, "proof", "get", str(payment.uuid))
    assert (code, (tmp_path / "receipt.pdf").read_bytes()) == (0, PDF)

    for unknown in (bare.uuid, uuid4()):
        code, _, output = await call(settings, "proof", "get", str(unknown))
        assert (code, output) == (1, f"There is no payment {unknown} with a proof.\n")

    (settings.proof_dir / proof.key).write_bytes(PDF + b"x")
    code, _, output = await call(settings, "proof", "get", str(payment.uuid), "-o", "-")
    assert code == 1
    assert "its digest differs" in output
    (settings.proof_dir / proof.key).unlink()
    code, _, output = await call(settings, "proof", "get", str(payment.uuid), "-o", "-")
    assert code == 1
    assert output.startswith("The proof cannot be read: ")


async def test_proof_copy(
    settings: Settings, make: Factories, object_store: ObjectStore, tmp_path: Path
) -> None:
    await pay(make, await make.customer(), None, proof := await keep(settings, "receipt.pdf"))
    folder = str(tmp_path / "copies")
    copy = ("proof", "copy", str(settings.proof_dir))
    assert await call(settings, *copy, folder) == (
        0,
        "1 copied, 0 present, 0 damaged, 0 missing.\n",
        "",
    )
    assert (tmp_path / "copies" / proof.key).read_bytes() == PDF

    environment = object_store.environment() | {"PROOF_STORE": ""}
    bucket = "s3://bucket/prefix"
    code, answer, _ = await call(settings, *copy, bucket, **environment)
    assert (code, answer) == (0, "1 copied, 0 present, 0 damaged, 0 missing.\n")
    code, answer, _ = await call(settings, *copy, bucket, **environment)
    assert (code, answer) == (0, "0 copied, 1 present, 0 damaged, 0 missing.\n")
    assert object_store.contents() == {f"prefix/{proof.key}": PDF}

    (settings.proof_dir / proof.key).unlink()
    code, answer, errors = await call(settings, *copy, str(tmp_path / "empty"))
    assert (code, answer) == (1, "0 copied, 0 present, 0 damaged, 1 missing.\n")
    assert errors == f"The proof {proof.key} is in neither store.\n"
    assert (await call(settings, *copy))[0] == 2
    code, _, errors = await call(settings, *copy, "ftp://host/folder")
    assert (code, errors.partition(" is wrong: ")[0]) == (2, "ftp://host/folder")
    code, _, errors = await call(settings, "proof", "copy", "s3://gone", folder, **environment)
    assert (code, errors.splitlines()[0]) == (
        1,
        "The copy failed: the object store answered NoSuchBucket.",
    )

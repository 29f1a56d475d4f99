"""`import` and `export`, as an operator calls them."""

import asyncio
import gzip
import json
import stat
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from typer.testing import CliRunner, Result

from app.billing.enums import InvoiceState
from app.catalogue.models import Category
from app.cli.main import cli
from app.customers.models import Customer
from app.invoices.models import Invoice
from app.payments.proof_store.folder import FolderStore
from app.settings import Settings
from tests.dataio.odd_values import fill
from tests.support import waldur_sample, waldur_schema
from tests.support.factories import Factories
from tests.support.history import without_history
from tests.support.waldur import create_waldur


async def call(settings: Settings, *arguments: str, stdin: bytes | None = None) -> Result:
    environment = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "PROOF_DIR": str(settings.proof_dir),
    }
    # In a thread: a command has an event loop of its own.
    return await asyncio.to_thread(CliRunner().invoke, cli, arguments, env=environment, input=stdin)


def category(title: object) -> str:
    return json.dumps({"kind": "category", "uuid": str(uuid4()), "title": title}) + "\n"


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


async def titles(connection: AsyncConnection) -> list[str]:
    return list((await connection.execute(select(Category.title))).scalars())


@pytest.mark.usefixtures("own_logs")
async def test_export_and_import(
    settings: Settings,
    second_database_url: str,
    connection: AsyncConnection,
    tmp_path: Path,
) -> None:
    await fill(connection, FolderStore(settings.proof_dir, 10**7))
    # An import freezes issued invoices that have no document.
    assert (await call(settings, "job", "freeze_issued")).exit_code == 0
    file, packed = tmp_path / "all.jsonl", tmp_path / "all.jsonl.gz"
    for target in (file, packed):
        answer = await call(settings, "export", "-o", str(target))
        assert (answer.exit_code, answer.output) == (0, "")
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert gzip.decompress(packed.read_bytes()) == file.read_bytes()
    assert (await call(settings, "export")).stdout_bytes == file.read_bytes()
    await call(settings, "export", "-o", str(tmp_path / "again.gz"))
    assert (tmp_path / "again.gz").read_bytes() == packed.read_bytes()

    second = settings.model_copy(
        update={"database_url": second_database_url, "proof_dir": tmp_path / "second"}
    )
    answer = await call(second, "import", str(packed))
    assert answer.exit_code == 0
    assert answer.stdout.splitlines()[0] == f"{packed}:"
    assert "invoice item 72 new 0 changed 0 unchanged" in " ".join(answer.stdout.split())
    exported = (await call(second, "export")).stdout_bytes
    assert without_history(exported) == without_history(file.read_bytes())
    answer = await call(second, "import", "-", stdin=file.read_bytes())
    assert "invoice item 0 new 0 changed 72 unchanged" in " ".join(answer.stdout.split())


async def test_bad_lines(settings: Settings, connection: AsyncConnection, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_text(category("Compute"))
    bad.write_text(category("Storage") + category(5) + category("Network"))
    answer = await call(settings, "import", str(good), str(bad))
    assert answer.exit_code == 1
    assert answer.stderr.splitlines() == [
        "line 2: title: Input should be a valid string",
        f"{bad}: 1 line was rejected; nothing was imported.",
    ]
    assert await titles(connection) == ["Compute"]
    answer = await call(settings, "import", "--keep-good", str(bad))
    assert answer.exit_code == 1
    assert answer.stderr.splitlines()[1] == f"{bad}: 1 line was rejected; the others were imported."
    assert await titles(connection) == ["Compute", "Storage", "Network"]
    bad.write_text("".join(category(number) for number in range(150)))
    answer = await call(settings, "import", str(bad))
    assert len(answer.stderr.splitlines()) == 101
    assert "100 lines were rejected, and the import ended there" in answer.stderr


async def test_failures_are_told_in_a_line(
    settings: Settings, connection: AsyncConnection, make: Factories, tmp_path: Path
) -> None:
    answer = await call(settings, "import", str(tmp_path / "none"))
    assert (answer.exit_code, answer.stderr) == (
        1,
        f"{tmp_path / 'none'} cannot be read: No such file or directory.\n",
    )
    answer = await call(settings, "export", "-o", str(tmp_path / "no" / "folder"))
    assert answer.exit_code == 2
    assert "cannot be written" in answer.stderr
    await connection.execute(select(func.pg_advisory_lock(4_817_220_311)))
    (tmp_path / "file").write_text(category("Compute"))
    answer = await call(settings, "import", str(tmp_path / "file"))
    assert (answer.exit_code, answer.stderr) == (
        1,
        "Another import is running on this database.\n",
    )
    profile = await make.profile(await make.customer())
    await make.payment(
        profile,
        proof_key="0" * 32,
        proof_name="x",
        proof_media_type="application/pdf",
        proof_size=1,
        proof_sha256="0" * 64,
    )
    target = tmp_path / "out"
    answer = await call(settings, "export", "-o", str(target))
    assert answer.exit_code == 1
    assert "is missing" in answer.stderr
    assert not target.exists()
    answer = await call(settings, "export", "-o", str(target), "--no-proofs")
    assert answer.exit_code == 0
    assert json.loads(target.read_text().splitlines()[-1])["proof"] is None
    assert names(tmp_path) >= {"file", "out"}
    assert not [name for name in names(tmp_path) if name.startswith(".")]


async def test_an_empty_file(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = await call(settings, "import", str(tmp_path / "file"))
    assert (answer.exit_code, answer.stdout) == (0, f"{tmp_path / 'file'}:\n  no records\n")


async def test_a_database_without_tables(
    settings: Settings, empty_database_url: str, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"database_url": empty_database_url})
    (tmp_path / "file").write_text(category("Compute"))
    for arguments in (("import", str(tmp_path / "file")), ("export",)):
        answer = await call(settings, *arguments)
        assert answer.exit_code == 1
        assert 'relation "' in answer.stderr
        assert "run `python -m app migrate`." in answer.stderr
        assert answer.stderr.count("\n") == 1


async def test_import_from_a_waldur(
    settings: Settings, empty_database_url: str, connection: AsyncConnection
) -> None:
    await create_waldur(empty_database_url, waldur_schema.COLUMNS, waldur_sample.rows())
    answer = await call(settings, "import", "--format", "waldur", empty_database_url)
    assert answer.exit_code == 0
    assert "customer" in answer.stdout
    assert (await connection.execute(select(func.count()).select_from(Customer))).scalar_one() == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("mysql://waldur:secret@db/waldur",), 1),
        (("postgresql://waldur:secret@127.0.0.1:1/waldur",), 1),
        (("postgresql://a/b", "postgresql://c/d"), 2),
        (("--keep-good", "postgresql://a/b"), 2),
    ],
)
async def test_a_waldur_that_cannot_be_read(
    settings: Settings, arguments: tuple[str, ...], code: int
) -> None:
    answer = await call(settings, "import", "--format", "waldur", *arguments)
    assert answer.exit_code == code
    assert answer.stderr.count("\n") == 1
    assert "secret" not in answer.output


async def test_an_export_names_the_records_that_an_import_refuses(
    settings: Settings, connection: AsyncConnection, make: Factories, tmp_path: Path
) -> None:
    customer = await make.customer()
    for month in range(1, 5):
        invoice = await make.invoice(customer, year=2026, month=month, state=InvoiceState.CREATED)
        await make.item(invoice, unit_price=Decimal("1.5"), quantity=Decimal(1))
    by_number = select(Invoice.number).order_by(Invoice.number)
    numbers = (await connection.execute(by_number)).scalars().all()
    assert (await call(settings, "export", "-o", str(tmp_path / "good.jsonl"))).output == ""

    # As releases before the rules let them in.
    statements = (
        "ALTER TABLE invoice_items DISABLE TRIGGER USER",
        "ALTER TABLE invoices DISABLE TRIGGER USER",
        f"UPDATE invoices SET number = 10 ^ 15 + 1 WHERE number = {numbers[0]}",
        f"UPDATE invoices SET payment_url = 'http://[::1' WHERE number = {numbers[1]}",
        "UPDATE invoice_items SET price = price + 0.02"
        f" WHERE invoice_id = (SELECT id FROM invoices WHERE number = {numbers[2]})",
        "ALTER TABLE invoice_items ENABLE TRIGGER USER",
        "ALTER TABLE invoices ENABLE TRIGGER USER",
    )
    for statement in statements:
        await connection.execute(text(statement))
    file = tmp_path / "bad.jsonl"
    answer = await call(settings, "export", "-o", str(file))
    assert answer.exit_code == 0
    assert answer.stderr.splitlines() == [
        "An import would reject some records of this export:",
        "  The number is above 1000000000000000: invoice 1000000000000001.",
        f"  The payment URL is not valid: invoice {numbers[1]}.",
        "  Prices have more decimals than EUR, or are more than 0.01 from unit price times"
        f" quantity: invoice {numbers[2]}.",
    ]
    refused = await call(settings, "import", str(file))
    assert len(refused.stderr.splitlines()) >= 4

"""`import --format focus`, as an operator calls it."""

from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.invoices.models import Invoice
from app.settings import Settings
from tests.cli.test_data import call
from tests.dataio.focus.files import row, write


async def test_a_file_is_imported_and_its_sums_are_told(
    settings: Settings, tmp_path: Path, connection: AsyncConnection
) -> None:
    rows = [row(BilledCost="0.00123"), row(BilledCost="2.00000000001", ResourceId="vm-2")]
    path = write(tmp_path / "costs.csv", rows)
    options = ["--tax", "9.5", "--issue", "--currency", "eur"]
    result = await call(settings, "import", "--format", "focus", *options, str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    (line,) = [line for line in result.stdout.splitlines() if "100001" in line]
    message = "100001 2026-09 Õunaaed OÜ 2.00123000001 2.0012300000 2.00 new"
    assert " ".join(line.split()) == message
    assert "Issued: 1 invoice." in result.stdout
    stored = select(Invoice.state, Invoice.tax_percent, Invoice.total_price)
    assert tuple((await connection.execute(stored)).one()) == (
        "created",
        Decimal("9.50"),
        Decimal(2),
    )


async def test_a_refused_import_says_why_and_ends_with_1(
    settings: Settings, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    write(good, [row()])
    write(bad, [row(BilledCost="a lot", ResourceId="vm-2")])
    result = await call(settings, "import", "--format", "focus", str(bad), str(good))
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "2 files: nothing was imported.",
        f'  {bad}: line 2: BilledCost is not a number: "a lot"',
    ]
    twice = await call(settings, "import", "--format", "focus", str(good), str(good))
    assert (twice.exit_code, twice.stderr.strip()) == (
        2,
        "A file is named twice and would be billed twice.",
    )
    await call(settings, "import", "--format", "focus", "--issue", str(good))
    write(good, [row(BilledCost="2")])
    result = await call(settings, "import", "--format", "focus", "--keep-good", str(good))
    assert result.exit_code == 1
    assert "refused" in result.stdout
    assert "not imported or not issued" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tax", "100", "--format", "focus"], "--tax must be a percentage"),
        (["--tax", "x", "--format", "focus"], "--tax must be a percentage"),
        (["--tax", "1.001", "--format", "focus"], "--tax must be a percentage"),
        (["--notify", "--format", "focus"], "--notify requires --issue."),
        (["--issue"], "require --format focus"),
        (["--credit"], "require --format focus"),
        (["--drop-tax-rows"], "require --format focus"),
        (["--allow-equal-rows"], "require --format focus"),
    ],
)
async def test_options_that_make_no_sense(
    settings: Settings, options: list[str], message: str
) -> None:
    result = await call(settings, "import", *options, "file.csv")
    assert result.exit_code == 2
    assert message in result.stderr


async def test_a_copy_is_refused_and_equal_parts_are_allowed(
    settings: Settings, tmp_path: Path, connection: AsyncConnection
) -> None:
    paths = [str(write(tmp_path / name, [row()])) for name in ("part-1.csv", "part-2.csv")]
    result = await call(settings, "import", "--format", "focus", *paths)
    assert result.exit_code == 1
    message = [line.strip() for line in result.stderr.splitlines()]
    assert message[0] == "2 files: nothing was imported."
    assert message[1].startswith(
        f"{paths[0]} and {paths[1]} have the same charges: 1 of the 1 rows"
    )
    assert "(line 2 of the first, line 2 of the second)" in message[1]
    result = await call(settings, "import", "--format", "focus", "--allow-equal-rows", *paths)
    assert (result.exit_code, result.stderr) == (0, "")
    assert (await connection.execute(select(Invoice.total_price))).scalar_one() == 2


async def test_the_credit_notes_and_differences_of_a_restated_bill_are_told(
    settings: Settings, tmp_path: Path
) -> None:
    command = ["import", "--format", "focus"]
    rows = [row(BilledCost="10"), row(BilledCost="5", ResourceId="vm-2")]
    path = write(tmp_path / "costs.csv", rows)
    await call(settings, *command, "--tax", "20", "--issue", str(path))
    write(path, [rows[0] | {"BilledCost": "8"}, rows[1] | {"BilledCost": "6.50"}])
    result = await call(settings, *command, str(path))
    assert result.exit_code == 1
    assert "a difference of -0.50, which --credit bills." in result.stderr
    result = await call(settings, *command, "--credit", str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1].strip() == (
        "2026-09 Õunaaed OÜ: invoice 100002 bills 1.50 more;"
        " credit note CN-1 gives back 2.00 of invoice 100001, 2.40 with tax"
    )


async def test_taxes_of_the_provider_are_told(
    settings: Settings, tmp_path: Path, connection: AsyncConnection
) -> None:
    tax = row(ChargeCategory="Tax", BilledCost="0.20", ChargeDescription="VAT")
    path = str(write(tmp_path / "costs.csv", [row(), tax]))
    command = ["import", "--format", "focus", "--tax", "10"]
    result = await call(settings, *command, path)
    assert result.exit_code == 1
    assert "1 row of the category Tax, 0.20 EUR in total" in result.stderr
    result = await call(settings, *command, "--drop-tax-rows", path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Dropped: 1 tax row, 0.20 EUR in total." in result.stdout
    stored = select(Invoice.total_price, Invoice.tax_percent)
    assert tuple((await connection.execute(stored)).one()) == (Decimal(1), Decimal(10))


async def test_names_of_a_bill_move_no_cursor_of_the_terminal(
    settings: Settings, tmp_path: Path
) -> None:
    path = write(tmp_path / "costs.csv", [row(BillingAccountName="Two\r\nlines\x1b[2J")])
    result = await call(settings, "import", "--format", "focus", str(path))
    assert result.exit_code == 0
    assert not {"\r", "\x1b"} & set(result.stdout)
    (line,) = [line for line in result.stdout.splitlines() if "100001" in line]
    assert "Two  lines [2J" in line

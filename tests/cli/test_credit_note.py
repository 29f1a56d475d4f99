"""`credit-note document` writes documents of credit notes; `credit-note check` checks them."""

from pathlib import Path

import pytest
from pypdf import PdfReader
from sqlalchemy.ext.asyncio import AsyncConnection

from app.credit_notes.actions.credit import CreditInvoice, credit
from app.database.engine import Database
from app.documents.profiles import PEPPOL, PROFILES
from app.settings import Settings
from tests.cli.test_payments import call
from tests.support.einvoice_rules import judge
from tests.support.factories import Factories, Row
from tests.support.issued import COMPLETE, issue_invoice

pytestmark = pytest.mark.usefixtures("november")


@pytest.fixture
async def note(make: Factories, settings: Settings, database: Database) -> str:
    """The UUID of the credit note CN-1."""
    return await make_note(make, settings, database, await make.customer(**COMPLETE))


async def make_note(make: Factories, settings: Settings, database: Database, customer: Row) -> str:
    invoice = await issue_invoice(make, settings, "10", customer=customer)
    async with database.transaction() as connection:
        uuid = await credit(connection, CreditInvoice(invoice.id, "A mistake"), settings)
    return uuid.hex


async def test_a_pdf_is_written_by_uuid_or_number(
    settings: Settings, note: str, tmp_path: Path
) -> None:
    paths = [tmp_path / name for name in ("a.pdf", "b.pdf", "c.pdf")]
    for path, name in zip(paths, (note, "CN-1", "1"), strict=True):
        answer = await call(settings, "credit-note", "document", name, "-o", str(path))
        assert answer == (0, "", "")
    assert len({path.read_bytes() for path in paths}) == 1
    assert "Credit note CN-1" in PdfReader(paths[0]).pages[0].extract_text()


async def test_standard_output_gets_the_html(settings: Settings, note: str) -> None:
    arguments = ("credit-note", "document", "CN-1", "--format", "html", "-o", "-")
    code, output, _ = await call(settings, *arguments)
    assert code == 0
    assert "<h1>Credit note CN-1</h1>" in output


async def test_a_month_of_issue_is_written_into_a_folder(
    settings: Settings, note: str, tmp_path: Path
) -> None:
    name = "credit-note-1-peppol.xml"
    for month, names in (("2026-11", [name]), ("2026-10", [])):
        folder = tmp_path / month
        options = ("--month", month, "--format", "ubl", "--profile", "peppol", "-o", str(folder))
        code, _, _ = await call(settings, "credit-note", "document", *options)
        assert code == 0
        assert [path.name for path in folder.iterdir()] == names
    assert not judge((tmp_path / "2026-11" / name).read_bytes(), PEPPOL).fatal


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("7", "-o", "x"), 1, "There is no credit note 7."),
        (("invoice", "-o", "x"), 1, "There is no credit note invoice."),
        (("1", "--all", "-o", "x"), 2, "Name one credit note, or give --month or --all."),
    ],
)
async def test_what_is_not_there_is_named(
    settings: Settings, connection: AsyncConnection, arguments: tuple[str, ...], code: int,
    message: str,
) -> None:  # fmt: skip
    answer = await call(settings, "credit-note", "document", *arguments)
    assert answer == (code, "", f"{message}\n")


async def test_a_check_prints_each_profile_and_what_is_missing(
    settings: Settings, make: Factories, database: Database, note: str
) -> None:
    code, output, errors = await call(settings, "credit-note", "check")
    assert (code, errors) == (0, "All 1 credit notes can be written in each profile.\n")
    assert output.splitlines() == [f"CN-1 {profile.label}: ok" for profile in PROFILES]
    await make_note(make, settings, database, await make.customer(country=""))
    code, output, errors = await call(settings, "credit-note", "check", "--profile", "en16931")
    assert code == 1
    assert output.splitlines()[1].startswith("CN-2 en16931: BT-55 country of the customer:")
    assert errors.startswith("Of 2 credit notes, 1 cannot be written in each profile.\n")

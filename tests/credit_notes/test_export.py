"""Credit notes go out and come in as JSON Lines, whole."""

from pathlib import Path

import pytest
from sqlalchemy import text

from app.audit.verify import VerificationResult, verify
from app.billing.enums import InvoiceState
from app.database.engine import Database
from app.dataio.jsonl.exporter import export_lines
from app.dataio.jsonl.importer import import_file
from app.settings import Settings
from tests.credit_notes.conftest import Crediting, Issue
from tests.support.factories import Factories
from tests.support.issued import issuing

STORED = text(
    "SELECT n.number, n.reason, n.content::text, n.digest, l.content::text, l.digest, i.credited"
    " FROM credit_notes AS n JOIN credit_note_lines AS l ON l.credit_note_id = n.id"
    " JOIN invoices AS i ON i.id = n.invoice_id ORDER BY n.number"
)


@pytest.fixture
async def second(settings: Settings, second_database_url: str) -> Settings:
    return settings.model_copy(update={"database_url": second_database_url})


async def test_an_import_of_an_export_has_the_same_credit_notes(
    crediting: Crediting, issued: Issue, database: Database, second: Settings, tmp_path: Path
) -> None:
    invoice = await issued("10.01", "5")
    (first, _second) = await crediting.items(invoice)
    await crediting.credit(invoice, items=[{"uuid": first, "price": "0.03"}])
    await crediting.credit(invoice)
    file = tmp_path / "export.jsonl"
    file.write_bytes(b"".join([piece async for piece in export_lines(database, second)]))
    other = Database(second)
    try:
        for _ in range(2):
            await import_file(other, second, str(file))
        async with database.reading() as here, other.reading() as there:
            rows = (await here.execute(STORED)).all()
            assert len(rows) == 2
            assert (await there.execute(STORED)).all() == rows
        found = [each async for each in verify(other, second, VerificationResult())]
        assert not [each for each in found if each.kind == "credit_note"]
    finally:
        await other.close()


async def test_lines_with_large_details_are_stored_in_several_batches(
    crediting: Crediting, make: Factories, settings: Settings, database: Database
) -> None:
    invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    for _ in range(6):
        await make.item(invoice, "10", details={"notes": 400_000 * "x"})
    await make.freeze(issuing(settings), invoice)
    await crediting.credit(invoice)
    batches = text(
        "SELECT batch, (SELECT count(*) FROM jsonb_object_keys(content)), digest"
        " = sha256(convert_to(content::text, 'UTF8')) FROM credit_note_lines ORDER BY batch"
    )
    async with database.reading() as connection:
        stored = (await connection.execute(batches)).all()
    assert [tuple(each) for each in stored] == [(0, 3, True), (1, 3, True)]

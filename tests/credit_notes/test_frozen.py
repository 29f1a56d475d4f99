"""A credit note is frozen, and the record of changes seals it."""

from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.verify import VerificationResult, verify
from app.credit_notes.queries.documents import find_document
from app.database.engine import Database
from app.documents.document import DocumentKind, DocumentLine, FrozenDocument, PrecedingInvoice
from app.settings import Settings
from tests.credit_notes.conftest import Crediting, Issue


async def read(
    database: Database, note: dict[str, str]
) -> tuple[FrozenDocument, list[DocumentLine]]:
    async with database.snapshot() as connection:
        uuid = UUID(note["uuid"])
        issued = await find_document(connection, uuid)
        lines = [line async for batch in issued.read_lines(connection) for line in batch]
        return issued.document, lines


async def test_a_credit_note_has_the_values_of_its_invoice(
    crediting: Crediting, issued: Issue, connection: AsyncConnection, database: Database
) -> None:
    invoice = await issued("10", "-2.5", is_paid=True)
    charge = (await crediting.items(invoice))[0]
    note = await crediting.credit(invoice, items=[{"uuid": charge, "quantity": "0.25"}])
    document, lines = await read(database, note)
    number = await connection.scalar(text("SELECT number FROM invoices"))
    assert document.kind is DocumentKind.CREDIT_NOTE
    assert document.printed_number == "CN-1"
    assert document.preceding == PrecedingInvoice(
        number=number or 0, issue_date=date(2026, 11, 1), is_paid=True
    )
    assert (document.reason, document.due_date) == ("A mistake", None)
    assert (document.net, document.gross) == (Decimal("2.5"), Decimal(3))
    assert (document.items, document.hidden_items, document.compensations) == (1, 0, Decimal(0))
    (line,) = lines
    assert str(line.uuid) == charge
    assert (line.quantity, line.unit_price, line.price) == (
        Decimal("0.25"),
        Decimal(10),
        Decimal("2.5"),
    )


async def test_a_long_credit_note_has_its_lines_in_batches_in_the_order_of_the_invoice(
    crediting: Crediting, issued: Issue, database: Database
) -> None:
    invoice = await issued(*["1"] * 205)
    note = await crediting.credit(invoice)
    async with database.snapshot() as connection:
        found = await find_document(connection, UUID(note["uuid"]))
        sizes = [len(batch) async for batch in found.read_lines(connection)]
    assert sizes == [100, 100, 5]
    _document, lines = await read(database, note)
    assert [line.name for line in lines] == sorted(line.name for line in lines)


async def test_a_credit_note_does_not_change_with_other_records(
    crediting: Crediting, issued: Issue, connection: AsyncConnection, database: Database
) -> None:
    note = await crediting.credit(await issued("10", is_paid=True))
    before = await read(database, note)
    await connection.execute(text("UPDATE customers SET name = 'Other', address = 'Elsewhere'"))
    await connection.execute(text("UPDATE invoices SET reference_number = 'R', backend_id = 'B'"))
    assert await read(database, note) == before


@pytest.mark.parametrize("table", ["credit_notes", "credit_note_lines"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET digest = ''", "DELETE FROM {}"])
async def test_credit_notes_are_only_added_to(
    crediting: Crediting, issued: Issue, connection: AsyncConnection, table: str, statement: str
) -> None:
    await crediting.credit(await issued("10"))
    with pytest.raises(DBAPIError, match="only added to"):
        await connection.execute(text(statement.format(table)))


Verify = Callable[[], Awaitable[set[str]]]


@pytest.fixture
def verified(database: Database, settings: Settings) -> Verify:
    """Verify the record, and return the discrepancies."""

    async def run() -> set[str]:
        found = verify(database, settings, VerificationResult())
        return {each.description async for each in found}

    return run


async def test_the_record_has_the_credit_note_and_the_change_of_its_invoice(
    crediting: Crediting, issued: Issue, connection: AsyncConnection
) -> None:
    note = await crediting.credit(await issued("10"))
    entries = text(
        "SELECT e.operation, e.data ->> 'uuid' FROM subject_history AS e WHERE kind = 'credit_note'"
    )
    assert [tuple(row) for row in await connection.execute(entries)] == [
        ("invoices_credit", note["uuid"])
    ]
    recorded = text("SELECT data ->> 'credited', data ->> 'state' FROM invoice_history")
    assert tuple((await connection.execute(recorded)).one()) == ("12.00", "canceled")


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE credit_notes SET content = '{}'", "its document was modified"),
        ("UPDATE credit_note_lines SET content = '{}'", "its document was modified"),
        ("DELETE FROM credit_note_lines", "its document was modified"),
        (
            "UPDATE credit_notes SET reason = 'Other'",
            "the credit note differs from its last entry in reason",
        ),
    ],
)
async def test_a_modified_credit_note_is_found(
    crediting: Crediting, issued: Issue, verified: Verify, statement: str, found: str
) -> None:
    await crediting.credit(await issued("10"))
    before = await verified()
    await crediting.connection.execute(text("SET session_replication_role = replica"))
    await crediting.connection.execute(text(statement))
    assert await verified() - before == {found}

"""An export has the frozen documents, and an import takes those of the invoices that it brings."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.verify import VerificationResult, verify
from app.billing.enums import InvoiceState
from app.database.engine import Database
from app.dataio.document_import import PART_BYTES
from app.dataio.import_report import ImportReport, RecordsRejected
from app.dataio.jsonl.exporter import export_lines
from app.dataio.jsonl.importer import import_file
from app.settings import Settings
from tests.dataio.record_factories import (
    build_customer,
    build_invoice,
    build_item,
    import_records,
)

Line = dict[str, Any]
Take = Callable[[list[Line]], Awaitable[ImportReport]]
ITEMS = 230
"""More than two rows of lines."""


@pytest.fixture
async def lines(database: Database, settings: Settings, connection: AsyncConnection) -> list[Line]:
    """The export of a frozen invoice whose customer was renamed afterwards."""
    customer = build_customer(name="Before")
    invoice = build_invoice(customer, number=100_500, state=InvoiceState.CREATED)
    details = {"exact": Decimal("0.1"), "resource_name": "Old"}
    items = [build_item(invoice, "1.50", details=details) for _ in range(ITEMS)]
    await import_records(database, settings, [customer, invoice, *items])
    await connection.execute(text("UPDATE customers SET name = 'After'"))
    exported = b"".join([piece async for piece in export_lines(database, settings)])
    return [json.loads(line) for line in exported.splitlines()]


@pytest.fixture
async def other(
    settings: Settings, second_database_url: str
) -> AsyncIterator[tuple[Database, Settings]]:
    values = settings.model_dump(exclude_unset=True) | {"database_url": second_database_url}
    second = Settings(**values)
    database = Database(second)
    yield database, second
    await database.close()


@pytest.fixture
def take(other: tuple[Database, Settings], tmp_path: Path) -> Take:
    async def take(given: list[Line]) -> ImportReport:
        file = tmp_path / "given.jsonl"
        file.write_text("".join(f"{json.dumps(line)}\n" for line in given))
        return await import_file(*other, str(file))

    return take


async def buyers(database: Database) -> list[tuple[int, str]]:
    statement = "SELECT version, content -> 'buyer' ->> 'name' FROM invoice_documents ORDER BY 1"
    async with database.reading() as connection:
        return [(row[0], row[1]) for row in await connection.execute(text(statement))]


def of_kind(lines: list[Line], kind: str) -> list[Line]:
    return [line for line in lines if line["kind"] == kind]


async def test_a_restored_invoice_has_the_names_of_its_issue(
    lines: list[Line], other: tuple[Database, Settings], take: Take
) -> None:
    report = await take(lines)
    assert await buyers(other[0]) == [(1, "Before")]
    assert len(of_kind(lines, "invoice_document_lines")) == 3
    assert report.counts["invoice_document_lines"].created == 3
    async with other[0].reading() as connection:
        counts = text("SELECT count(*), sum((SELECT count(*) FROM jsonb_object_keys(content)))")
        stored = await connection.execute(text(f"{counts} FROM document_lines"))
        assert tuple(stored.one()) == (3, ITEMS)


async def test_the_record_of_a_restored_invoice_is_valid(
    lines: list[Line], other: tuple[Database, Settings], take: Take
) -> None:
    await take(lines)
    assert [str(each) async for each in verify(*other, VerificationResult())] == []


async def test_a_second_import_changes_no_document(
    lines: list[Line], other: tuple[Database, Settings], take: Take
) -> None:
    await take(lines)
    again = await take(lines)
    assert not any(each.created or each.updated for each in again.counts.values())
    assert again.counts["invoice_document"].unchanged == 1
    assert await buyers(other[0]) == [(1, "Before")]


async def test_an_export_without_documents_is_frozen_by_its_import(
    lines: list[Line], other: tuple[Database, Settings], take: Take
) -> None:
    await take([line for line in lines if not line["kind"].startswith("invoice_document")])
    assert await buyers(other[0]) == [(1, "After")]


def _of_another_number(lines: list[Line]) -> None:
    (document,) = of_kind(lines, "invoice_document")
    document["content"] = json.dumps({**json.loads(document["content"]), "number": 7})


def _without_a_batch(lines: list[Line]) -> None:
    lines.remove(of_kind(lines, "invoice_document_lines")[0])


def _with_a_batch_twice(lines: list[Line]) -> None:
    lines.append(of_kind(lines, "invoice_document_lines")[0])


def _twice(lines: list[Line]) -> None:
    lines.append(of_kind(lines, "invoice_document")[0])


def _with_another_price(lines: list[Line]) -> None:
    batch = of_kind(lines, "invoice_document_lines")[0]
    batch["lines"] = batch["lines"].replace('"price": "1.50"', '"price": "1.49"', 1)


def _of_a_pending_invoice(lines: list[Line]) -> None:
    of_kind(lines, "invoice")[0]["state"] = "pending"


def _without_the_invoice(lines: list[Line]) -> None:
    lines[:] = [line for line in lines if line["kind"] not in ("invoice", "invoice_item")]


def _without_the_document(lines: list[Line]) -> None:
    lines.remove(of_kind(lines, "invoice_document")[0])


def _with_a_wrong_date(lines: list[Line]) -> None:
    (document,) = of_kind(lines, "invoice_document")
    document["content"] = json.dumps({**json.loads(document["content"]), "issue_date": "soon"})


def _without_a_name(lines: list[Line]) -> None:
    batch = of_kind(lines, "invoice_document_lines")[0]
    content = json.loads(batch["lines"])
    del content[0]["name"]
    batch["lines"] = json.dumps(content)


_OTHER = "has another number"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_of_another_number, _OTHER),
        (_without_a_batch, _OTHER),
        (_with_a_batch_twice, _OTHER),
        (_with_another_price, _OTHER),
        (_of_a_pending_invoice, _OTHER),
        (_twice, "has the same record"),
        (_without_the_invoice, "there is no invoice"),
        (_without_the_document, "there is no invoice document"),
        (_with_a_wrong_date, "content: issue_date"),
        (_without_a_name, "lines: 0.name"),
    ],
)
async def test_a_document_that_is_not_the_invoice_s_is_rejected(
    lines: list[Line],
    other: tuple[Database, Settings],
    take: Take,
    change: Callable[[list[Line]], None],
    reason: str,
) -> None:
    change(lines)
    with pytest.raises(RecordsRejected) as raised:
        await take(lines)
    assert reason in str(raised.value.report.rejected[0])
    assert await buyers(other[0]) == []


async def test_lines_with_large_details_are_exported_in_several_records(
    database: Database, settings: Settings, other: tuple[Database, Settings], take: Take
) -> None:
    invoice = build_invoice(customer := build_customer(), state=InvoiceState.CREATED)
    details = {"notes": 130_000 * '"'}
    items = [build_item(invoice, "1.50", details=details) for _ in range(12)]
    await import_records(database, settings, [customer, invoice, *items])
    exported = b"".join([piece async for piece in export_lines(database, settings)]).splitlines()
    assert max(map(len, exported)) < 2.6 * PART_BYTES
    given = [json.loads(line) for line in exported]
    records = of_kind(given, "invoice_document_lines")
    assert [len(json.loads(each["lines"])) for each in records] == [5, 4, 3]
    await take(given)
    assert [str(each) async for each in verify(*other, VerificationResult())] == []
    contents = text(
        "SELECT jsonb_agg(value ORDER BY value ->> 'uuid')::text"
        " FROM document_lines, jsonb_each(content)"
    )
    stored = []
    for each in (database, other[0]):
        async with each.reading() as connection:
            stored.append((await connection.execute(contents)).scalar_one())
    assert stored[0] == stored[1]

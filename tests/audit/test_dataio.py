"""The record goes out and comes in as it is, and stays verifiable."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from app.audit.actor import Actor
from app.audit.verify import VerificationResult, verify
from app.audit.writer import audited_transaction
from app.database.engine import Database
from app.dataio.import_report import ImportReport, RecordsRejected
from app.dataio.jsonl.exporter import export_lines
from app.dataio.jsonl.importer import import_file
from app.settings import Settings
from tests.audit.test_verify import CHANGED, write
from tests.support.factories import Row
from tests.support.history import KEY

Import = Callable[[bytes], Awaitable[tuple[ImportReport, list[str]]]]


@pytest.fixture
async def exported(database: Database, settings: Settings) -> bytes:
    gone = await write(database)
    async with audited_transaction(database, KEY, Actor("test")) as within:
        await within.execute(text("DELETE FROM payments"))
        await within.execute(text("DELETE FROM invoices WHERE id = :id"), {"id": gone.id})
    kept: Row = await write(database)
    assert kept.uuid != gone.uuid
    return b"".join([piece async for piece in export_lines(database, settings)])


@pytest.fixture
def imported(settings: Settings, second_database_url: str, tmp_path: Path) -> Import:
    """Import lines into another database; returns the report and what is found there."""
    there = settings.model_copy(update={"database_url": second_database_url})

    async def load(lines: bytes) -> tuple[ImportReport, list[str]]:
        file = tmp_path / "lines.jsonl"
        file.write_bytes(lines)
        database = Database(there)
        try:
            report = await import_file(database, there, str(file))
            found = [each async for each in verify(database, there, VerificationResult())]
            return report, [f"{each.sequence or '-'}: {each.description}" for each in found]
        finally:
            await database.close()

    return load


async def test_an_imported_record_is_verified_and_continued(
    exported: bytes, imported: Import, second_database_url: str, settings: Settings
) -> None:
    report, found = await imported(exported)
    assert found == []
    assert report.counts_for("history_entry").created == 9
    # A profile and a payment of each invoice, and the deletion of one payment.
    assert report.counts_for("subject_history_entry").created == 5
    report, found = await imported(exported)
    assert found == []
    assert report.counts_for("history_entry").unchanged == 9
    assert not any(each.created or each.updated for each in report.counts.values())
    there = settings.model_copy(update={"database_url": second_database_url})
    database = Database(there)
    again = b"".join([piece async for piece in export_lines(database, there)])
    await database.close()
    # As it was, and the import of the invoice, two profiles and the payment; only the heads are
    # others since.
    before = [line.partition(b'"head"')[0] for line in exported.splitlines()]
    entries = [line for line in before if b"history_" in line]
    after = {line.partition(b'"head"')[0] for line in again.splitlines()}
    assert set(entries) <= after
    assert again.count(b'"operation":"import"') == 4


def replacing(before: bytes, after: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda lines: [line.replace(before, after) for line in lines]


TAMPERINGS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], list[str]]] = {
    "entries are changed": (
        replacing(b'"operation":"test"', b'"operation":"none"'),
        [f"{sequence}: {CHANGED}" for sequence in range(1, 6)],
    ),
    "a change is changed": (
        replacing(rb"{\"state\": \"paid\"}", rb"{\"state\": \"x\"}"),
        [f"3: {CHANGED}"],
    ),
    "a change of a profile is changed": (
        replacing(rb"\"is_active\": true", rb"\"is_active\": false"),
        [f"1: {CHANGED}"],
    ),
    "the last entry is cut off": (
        lambda lines: [line for line in lines if b'"head":"' not in line],
        ["4: the entry does not continue the one before"],
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
async def test_a_tampered_export_is_reported(exported: bytes, imported: Import, name: str) -> None:
    tamper, expected = TAMPERINGS[name]
    _, found = await imported(b"".join(tamper(exported.splitlines(keepends=True))))
    assert set(expected) <= set(found)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (rb'"data":"{', rb'"data":"{{'),
        (rb'"sequence":2', rb'"sequence":1'),
        (rb'"of":"item"', rb'"of":"thing"'),
    ],
)
async def test_an_invalid_record_is_refused(
    exported: bytes, imported: Import, before: bytes, after: bytes
) -> None:
    with pytest.raises(RecordsRejected) as refused:
        await imported(exported.replace(before, after))
    assert refused.value.report.rejected_count

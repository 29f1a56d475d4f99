"""An export can be imported, and then everything is as it was."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.database.engine import Database
from app.dataio.jsonl.exporter import ProofUnreadable, export_lines
from app.dataio.jsonl.importer import import_file
from app.dataio.registry import RECORD_KINDS
from app.invoices.jobs.freeze_issued import freeze_issued
from app.invoices.models import Invoice
from app.main import create_app
from app.payments.proof_store.folder import FolderStore
from app.progress import Progress
from app.settings import Settings
from tests.dataio.odd_values import fill
from tests.support.clients import client_of
from tests.support.history import without_history


async def exported(database: Database, settings: Settings, **options: Any) -> bytes:
    return b"".join([piece async for piece in export_lines(database, settings, **options)])


@pytest.fixture
def second_settings(settings: Settings, second_database_url: str, tmp_path: Path) -> Settings:
    return Settings(
        **{
            **settings.model_dump(exclude_unset=True),
            "database_url": second_database_url,
            "proof_dir": tmp_path / "second proofs",
        }
    )


async def test_export_and_import_give_the_same_export(
    database: Database,
    settings: Settings,
    second_settings: Settings,
    connection: AsyncConnection,
    tmp_path: Path,
) -> None:
    await fill(connection, FolderStore(settings.proof_dir, 10**7))
    await freeze_issued(database, settings)
    first = await exported(database, settings)
    others = {"history_entry", "history_change", "subject_history_change"}
    others |= {"invoice_document", "invoice_document_lines"}
    assert {kind.name for kind in RECORD_KINDS} | others == {
        line.split(b'"')[3].decode() for line in first.splitlines()
    }
    assert b"infinity" not in first
    file = tmp_path / "export.jsonl"
    file.write_bytes(first)
    second = Database(second_settings)
    try:
        report = await import_file(second, second_settings, str(file))
        assert sum(each.created for each in report.counts.values()) == first.count(b"\n")
        assert without_history(await exported(second, second_settings)) == without_history(first)
        again = await import_file(second, second_settings, str(file))
        assert not any(each.created or each.updated for each in again.counts.values())
        back = await import_file(database, settings, str(file))
        assert not any(each.created or each.updated for each in back.counts.values())
        totals = text(
            "SELECT number, total_price, total_cost, incurred_costs, compensations,"
            " coalesce(imported_revision = revision, false) FROM invoices ORDER BY id"
        )
        async with second.reading() as other:
            assert (await other.execute(totals)).all() == (await connection.execute(totals)).all()
    finally:
        await second.close()


async def answers(settings: Settings, key: str, paths: Sequence[str]) -> list[tuple[int, str, str]]:
    app = create_app(settings)
    headers = {"Authorization": f"Token {key}"}
    async with app.router.lifespan_context(app), client_of(app) as client:
        given = [await client.get(path, headers=headers) for path in paths]
    return [(each.status_code, each.headers.get("X-Result-Count", ""), each.text) for each in given]


async def test_the_api_answers_the_same_after_export_and_import(
    database: Database,
    settings: Settings,
    second_settings: Settings,
    connection: AsyncConnection,
    tmp_path: Path,
) -> None:
    clock.freeze(datetime(2026, 12, 20, tzinfo=UTC))
    user = await fill(connection, FolderStore(settings.proof_dir, 10**7))
    await freeze_issued(database, settings)
    renamed = "UPDATE {} SET name = 'Renamed'"
    for table in ("customers", "projects", "resources", "offerings", "plans"):
        await connection.execute(text(renamed.format(table)))
    uuids = (await connection.execute(select(Invoice.uuid).order_by(Invoice.id))).scalars()
    paths = [
        "/api/invoices/?page_size=100",
        "/api/invoices/?page=2&page_size=5&o=-created",
        "/api/invoices/?field=number&field=state&field=due_date&state=paid",
        "/api/invoices/growth/",
        "/api/invoices/growth/?accounting_mode=accounting",
        *(
            f"/api/invoices/{uuid}/{part}"
            for uuid in uuids
            for part in ("", "items/", "items/?o=-resource_name", "stats/")
        ),
    ]
    file = tmp_path / "export.jsonl"
    file.write_bytes(await exported(database, settings))
    second = Database(second_settings)
    try:
        await import_file(second, second_settings, str(file))
    finally:
        await second.close()
    before = await answers(settings, user.key, paths)
    assert {status for status, _, _ in before} == {200}
    assert await answers(second_settings, user.key, paths) == before
    # Both answers would also agree if they were empty.
    assert sum(len(body) for _, _, body in before) > 200_000


async def test_an_unreadable_proof_ends_the_export(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    await fill(connection, FolderStore(settings.proof_dir, 10**7))
    (file,) = settings.proof_dir.iterdir()
    file.write_bytes(b"other")
    with pytest.raises(ProofUnreadable, match="does not match"):
        await exported(database, settings)
    file.unlink()
    with pytest.raises(ProofUnreadable, match="missing"):
        await exported(database, settings)
    assert b'"media_type"' not in await exported(database, settings, proofs=False)


async def test_the_progress_counts_all_rows(
    database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    await fill(connection, FolderStore(settings.proof_dir, 10**7))
    advanced: list[float] = []

    class Noted(Progress):
        def advance(self, number: float = 1) -> None:
            advanced.append(number)
            super().advance(number)

    progress = Noted()
    lines = (await exported(database, settings, progress=progress)).splitlines()
    assert len(advanced) > 10
    assert progress.part.done == len(lines)
    assert progress.part.total == len(lines)


async def test_an_empty_database_exports_nothing(database: Database, settings: Settings) -> None:
    assert await exported(database, settings) == b""

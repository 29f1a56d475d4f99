"""Backfilling the audit record: an explicit act of an operator, which is recorded as such.

Changes of an earlier release are legitimate, but look like changes that bypassed the service. Only
a person can distinguish them, so no backfill is automatic.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

from pydantic import SecretStr
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.actor import Actor
from app.audit.models import SUBJECT_TABLES
from app.audit.record_tables import INVOICES, SUBJECTS, RecordTables
from app.audit.seal_statements import SEAL_INVOICES, SEAL_SUBJECTS, SealStatements
from app.audit.writer import audited_transaction, seal_records
from app.database import import_lock, timeouts
from app.database.batches import run_in_batches
from app.database.engine import Database
from app.progress import UNWATCHED, Progress

_BATCH: Final = 1000
_ACTOR: Final = Actor("audit_adopt")


@dataclass
class BackfillResult:
    """The number of records that were completed."""

    changes: int = 0
    """Entries for unsealed changes, one for each transaction and subject."""
    records: int = 0
    """Records that start now."""

    def __str__(self) -> str:
        return f"Changes sealed: {self.changes:,}; records started: {self.records:,}."


async def backfill(
    database: Database, key: SecretStr, why: str, progress: Progress = UNWATCHED
) -> BackfillResult:
    """Seal unsealed changes, and start the record of each subject without a complete one.

    It commits each batch, and can be stopped and run again. It waits for a running import.
    """
    result = BackfillResult()

    async def seal_changes(
        tables: RecordTables, statements: SealStatements, connection: AsyncConnection, size: int
    ) -> int:
        await _wait_for_locks(connection)
        unsealed = _unsealed_changes(tables)
        changes = (await connection.execute(unsealed, {"size": size})).scalars().all()
        for change in changes:
            await connection.execute(_resume_change, {"change": str(change)})
            sealed, _ = await seal_records(connection, key, _ACTOR, why, statements)
            result.changes += sealed
        return len(changes)

    async def start_records(
        incomplete: TextClause, baseline: tuple[TextClause, ...], connection: AsyncConnection,
        size: int,
    ) -> int:  # fmt: skip
        await _wait_for_locks(connection)
        ids = (await connection.execute(incomplete, {"size": size})).scalars().all()
        for statement in baseline:
            await connection.execute(statement, {"ids": list(ids)})
        return len(ids)

    for tables, statements in ((INVOICES, SEAL_INVOICES), (SUBJECTS, SEAL_SUBJECTS)):
        seal_all = partial(seal_changes, tables, statements)
        await _begin(database, progress, "changes", _count_unsealed(tables))
        await run_in_batches(database.transaction, seal_all, _BATCH, progress)
    audited = partial(audited_transaction, database, key, _ACTOR, why)
    for (count, incomplete), baseline in _STARTS:
        start_all = partial(start_records, incomplete, baseline)
        await _begin(database, progress, "records", count)
        result.records += await run_in_batches(audited, start_all, _BATCH, progress)
    return result


async def _begin(database: Database, progress: Progress, unit: str, count: TextClause) -> None:
    if progress.is_watched:
        async with database.snapshot() as connection:
            await timeouts.disable_timeouts(connection)
            progress.begin(unit, await connection.scalar(count))


async def _wait_for_locks(connection: AsyncConnection) -> None:
    await timeouts.disable_timeouts(connection)
    await import_lock.lock_out_imports(connection)


def _unsealed_changes(tables: RecordTables) -> TextClause:
    return text(f"""
SELECT change FROM ({tables.unsealed}) AS u GROUP BY change ORDER BY min(u.first) LIMIT :size
""")  # noqa: S608 - made of constants


def _count_unsealed(tables: RecordTables) -> TextClause:
    return text(f"SELECT count(DISTINCT change) FROM ({tables.unsealed}) AS u")  # noqa: S608 - made of constants


_resume_change: Final = text("SELECT set_config('invoicing.change', :change, true)")
_GIVEN: Final = "ANY(CAST(:ids AS bigint[]))"


def _incomplete(tables: RecordTables, table: str, key: str) -> tuple[TextClause, TextClause]:
    """Count subjects without a complete record; lock and select them.

    `key` has the columns of the key.
    """
    subjects = f"""
FROM {table} AS s CROSS JOIN LATERAL (SELECT {key}) AS named
WHERE NOT {tables.is_complete("named")}
"""
    locked = f"SELECT s.id {subjects} ORDER BY s.id LIMIT :size FOR NO KEY UPDATE OF s"
    return text(f"SELECT count(*) {subjects}"), text(locked)


_invoice_baseline: Final = (
    text(f"""
INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)
SELECT current_change(), i.uuid, 'invoice', i.uuid, invoice_as_recorded(i)
FROM invoices AS i WHERE i.id = {_GIVEN} ORDER BY i.id
"""),  # noqa: S608 - made of constants
    *(
        text(f"""
INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)
SELECT current_change(), i.uuid, '{kind}', r.uuid, {kind}_as_recorded(r)
FROM {table} AS r JOIN invoices AS i ON i.id = r.invoice_id
WHERE r.invoice_id = {_GIVEN} ORDER BY r.id
""")  # noqa: S608 - made of constants
        for kind, table in (("item", "invoice_items"), ("payment", "payments"))
    ),
)


def _subject_baseline(kind: str, table: str) -> TextClause:
    return text(f"""
INSERT INTO subject_changes (change, subject_uuid, kind, became)
SELECT current_change(), uuid, '{kind}', subject_as_recorded('{kind}', uuid)
FROM {table} WHERE id = {_GIVEN} ORDER BY id
""")  # noqa: S608 - made of constants


_STARTS: Final = (
    (_incomplete(INVOICES, "invoices", "s.uuid AS invoice_uuid"), _invoice_baseline),
    *(
        (
            _incomplete(SUBJECTS, table, f"s.uuid AS subject_uuid, '{kind}' AS kind"),
            (_subject_baseline(kind, table),),
        )
        for kind, table in SUBJECT_TABLES.items()
    ),
)
"""For each kind of subject: counts and selects incomplete records by the key of the subject, and
writes the whole rows of these subjects."""

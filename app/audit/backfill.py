"""Backfilling the audit record: an explicit act of an operator, which is recorded as such.

Changes of an earlier release are legitimate, but look like changes that bypassed the service. Only
a person can tell them apart, so no backfill is automatic.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.actor import Actor
from app.audit.verify import IS_COMPLETE, UNSEALED
from app.audit.writer import audited_transaction, seal
from app.database import import_lock, timeouts
from app.database.batches import run_in_batches
from app.database.engine import Database

_BATCH: Final = 1000
_ACTOR: Final = Actor("audit_adopt")


@dataclass
class BackfillResult:
    """The number of records that were completed."""

    changes: int = 0
    """Entries for unsealed changes, one for each transaction and invoice."""
    invoices: int = 0
    """Invoices whose record starts now."""

    def __str__(self) -> str:
        return f"Changes sealed: {self.changes:,}; records started: {self.invoices:,}."


async def backfill(database: Database, key: SecretStr, why: str) -> BackfillResult:
    """Seal unsealed changes, and start the record of each invoice without a complete one.

    It commits each batch, and can be stopped and run again. It waits for a running import.
    """
    result = BackfillResult()

    async def seal_changes(connection: AsyncConnection, size: int) -> int:
        await _wait_for_locks(connection)
        changes = (await connection.execute(_unsealed, {"size": size})).scalars().all()
        for change in changes:
            await connection.execute(_resume_change, {"change": str(change)})
            result.changes += await seal(connection, key, _ACTOR, why)
        return len(changes)

    async def start_records(connection: AsyncConnection, size: int) -> int:
        await _wait_for_locks(connection)
        invoices = (await connection.execute(_incomplete, {"size": size})).scalars().all()
        for statement in _baseline:
            await connection.execute(statement, {"invoices": list(invoices)})
        return len(invoices)

    await run_in_batches(database.transaction, seal_changes, _BATCH)
    audited = partial(audited_transaction, database, key, _ACTOR, why)
    result.invoices = await run_in_batches(audited, start_records, _BATCH)
    return result


async def _wait_for_locks(connection: AsyncConnection) -> None:
    await timeouts.disable_timeouts(connection)
    await import_lock.lock_out_imports(connection)


_unsealed: Final = text(f"""
SELECT change FROM ({UNSEALED}) AS u GROUP BY change ORDER BY min(u.first) LIMIT :size
""")  # noqa: S608 - made of constants
_resume_change: Final = text("SELECT set_config('invoicing.change', :change, true)")
_incomplete: Final = text(f"""
SELECT i.id FROM invoices AS i WHERE NOT {IS_COMPLETE}
ORDER BY i.id LIMIT :size FOR NO KEY UPDATE
""")  # noqa: S608 - made of constants
_baseline: Final = (
    text("""
INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)
SELECT current_change(), i.uuid, 'invoice', i.uuid, invoice_as_recorded(i)
FROM invoices AS i WHERE i.id = ANY(CAST(:invoices AS bigint[])) ORDER BY i.id
"""),
    *(
        text(f"""
INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)
SELECT current_change(), i.uuid, '{kind}', r.uuid, {kind}_as_recorded(r)
FROM {table} AS r JOIN invoices AS i ON i.id = r.invoice_id
WHERE r.invoice_id = ANY(CAST(:invoices AS bigint[])) ORDER BY r.id
""")  # noqa: S608 - made of constants
        for kind, table in (("item", "invoice_items"), ("payment", "payments"))
    ),
)

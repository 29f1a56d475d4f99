"""Backfilling the audit record: an explicit act of an operator, which is recorded as such.

Changes of an earlier release are legitimate, but look like changes that bypassed the service. Only
a person can tell them apart, so no backfill is automatic.
"""

from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.actor import Actor
from app.audit.verify import IS_COMPLETE, UNSEALED
from app.audit.writer import audited_transaction, seal
from app.database import import_lock, timeouts
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
    while True:
        async with database.transaction() as connection:
            await timeouts.disable_timeouts(connection)
            await import_lock.lock_out_imports(connection)
            changes = (await connection.execute(_unsealed)).scalars().all()
            for change in changes:
                await connection.execute(_resume_change, {"change": str(change)})
                result.changes += await seal(connection, key, _ACTOR, why)
        if len(changes) < _BATCH:
            break
    while True:
        async with audited_transaction(database, key, _ACTOR, why) as connection:
            await timeouts.disable_timeouts(connection)
            await import_lock.lock_out_imports(connection)
            started = await _start_records(connection)
        result.invoices += started
        if started < _BATCH:
            return result


async def _start_records(connection: AsyncConnection) -> int:
    """Record the whole state of a batch of incomplete invoices as changes; return their number."""
    invoices = (await connection.execute(_incomplete)).scalars().all()
    for statement in _baseline:
        await connection.execute(statement, {"invoices": list(invoices)})
    return len(invoices)


_unsealed: Final = text(f"""
SELECT change FROM ({UNSEALED}) AS u GROUP BY change ORDER BY min(u.first) LIMIT {_BATCH}
""")  # noqa: S608 - made of constants
_resume_change: Final = text("SELECT set_config('invoicing.change', :change, true)")
_incomplete: Final = text(f"""
SELECT i.id FROM invoices AS i WHERE NOT {IS_COMPLETE}
ORDER BY i.id LIMIT {_BATCH} FOR NO KEY UPDATE
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

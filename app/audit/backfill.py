"""Taking into the record what was not sealed: an operator's explicit act, recorded as such.

What an earlier release wrote is honest, and looks like what somebody wrote past the service. Only a
person can tell, so nothing adopts by itself.
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
    """What was adopted."""

    changes: int = 0
    """Changes that were sealed; one is what a transaction did to one invoice."""
    invoices: int = 0
    """Invoices whose record begins now."""

    def __str__(self) -> str:
        return f"Changes sealed: {self.changes:,}; records begun: {self.invoices:,}."


async def backfill(database: Database, key: SecretStr, why: str) -> BackfillResult:
    """Seal the changes that were not, and begin the record of each invoice that has no whole one.

    A batch at a time, each in a transaction; it can be stopped and run again. An import that runs
    is waited for.
    """
    adoption = BackfillResult()
    while True:
        async with database.transaction() as connection:
            await timeouts.disable_timeouts(connection)
            await import_lock.lock_out_imports(connection)
            changes = (await connection.execute(_unsealed)).scalars().all()
            for change in changes:
                await connection.execute(_continue, {"change": str(change)})
                adoption.changes += await seal(connection, key, _ACTOR, why)
        if len(changes) < _BATCH:
            break
    while True:
        async with audited_transaction(database, key, _ACTOR, why) as connection:
            await timeouts.disable_timeouts(connection)
            await import_lock.lock_out_imports(connection)
            begun = await _begin(connection)
        adoption.invoices += begun
        if begun < _BATCH:
            return adoption


async def _begin(connection: AsyncConnection) -> int:
    """Write, as changes, all that invoices without a whole record are; return how many."""
    invoices = (await connection.execute(_without_whole)).scalars().all()
    for statement in _baseline:
        await connection.execute(statement, {"invoices": list(invoices)})
    return len(invoices)


_unsealed: Final = text(f"""
SELECT change FROM ({UNSEALED}) AS u GROUP BY change ORDER BY min(u.first) LIMIT {_BATCH}
""")  # noqa: S608 - made of constants
_continue: Final = text("SELECT set_config('invoicing.change', :change, true)")
_without_whole: Final = text(f"""
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

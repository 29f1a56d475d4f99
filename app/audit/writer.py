"""Seals the changes of a transaction with an entry for each invoice, before the commit.

    async with audited_transaction(database, key, actor) as connection:
        ...

Triggers have written the changes by then. Sealing takes two statements for each thousand invoices.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.audit.actor import Actor
from app.audit.digest import ENTRY_DIGEST
from app.audit.hash_chain import EMPTY_HEAD, HashChain
from app.database.engine import Database

_BATCH: Final = 1000
"""Invoices that are sealed at a time."""


@asynccontextmanager
async def audited_transaction(
    database: Database, key: SecretStr, actor: Actor, comment: str = ""
) -> AsyncIterator[AsyncConnection]:
    """Yield a connection in a transaction whose changes are recorded, with an optional comment.

    Raises the errors of `Database.transaction`.
    """
    async with database.transaction() as connection:
        yield connection
        await seal(connection, key, actor, comment)


async def seal(connection: AsyncConnection, key: SecretStr, actor: Actor, comment: str = "") -> int:
    """Write entries for the changes since the transaction began, or was last sealed.

    Call it last before the commit, since it locks the invoices. Returns the number of entries.
    """
    chain = HashChain(key.get_secret_value().encode())
    header = asdict(actor) | {"recorded_at": clock.now(), "comment": comment}
    sealed = 0
    values: dict[str, Any] = {}
    statement = _first
    while True:
        rows = (await connection.execute(statement, header | values)).all()
        if not rows:
            return sealed
        is_last = len(rows) < _BATCH
        await connection.execute(
            _insert_entries, header | _entries(chain, rows) | {"is_last": is_last}
        )
        sealed += len(rows)
        if is_last:
            return sealed
        values = {"after": rows[-1].invoice_uuid}
        statement = _next


def _entries(chain: HashChain, rows: Sequence[Row[*tuple[Any, ...]]]) -> dict[str, Any]:
    """Return the columns of the entries for the changed invoices."""
    columns: dict[str, list[Any]] = {
        name: [] for name in ("invoices", "sequences", "previous", "hashes", "heads")
    }
    for row in rows:
        invoice: UUID = row.invoice_uuid
        previous = row.history_head or EMPTY_HEAD
        last = row.last_sequence or 0
        if not row.history_count and row.last_is_end:
            # The invoice was deleted and created again.
            previous = chain.head_hash(invoice, last, row.last_hash)
        # Skip entries that the invoice does not count; `audit verify` reports them.
        sequence = max(row.history_count or 0, last) + 1
        entry = chain.entry_hash(invoice, sequence, previous, row.digest)
        columns["invoices"].append(invoice)
        columns["sequences"].append(sequence)
        columns["previous"].append(previous)
        columns["hashes"].append(entry)
        columns["heads"].append(chain.head_hash(invoice, sequence, entry))
    return columns | {"change": rows[0].change}


def _changed(*, further: bool) -> TextClause:
    """Select and lock a batch of the invoices that the transaction has changed.

    Each row has the digest of the new entry, the invoice's count and head, and the last entry. Of a
    deleted invoice, count and head come from its last change.
    """
    return text(f"""
WITH changed AS (
    SELECT DISTINCT change, invoice_uuid
    FROM invoice_changes AS c
    WHERE change = nullif(current_setting('invoicing.change', true), '')::uuid
        AND NOT EXISTS (
            SELECT FROM invoice_history AS e
            WHERE e.change = c.change AND e.invoice_uuid = c.invoice_uuid
        )
        {"AND invoice_uuid > CAST(:after AS uuid)" if further else ""}
    ORDER BY invoice_uuid
    LIMIT {_BATCH}
), locked AS (
    SELECT changed.change, changed.invoice_uuid, history_count, history_head,
           invoice_as_recorded(invoices) AS data
    FROM changed JOIN invoices ON invoices.uuid = changed.invoice_uuid
    ORDER BY changed.invoice_uuid
    FOR NO KEY UPDATE OF invoices
), found AS (
    SELECT * FROM locked
    UNION ALL
    SELECT changed.change, changed.invoice_uuid, stored.count, decode(stored.head, 'hex'), NULL
    FROM changed LEFT JOIN LATERAL (
        SELECT (was ->> 'history_count')::bigint AS count, was ->> 'history_head' AS head
        FROM invoice_changes AS gone
        WHERE gone.change = changed.change AND gone.invoice_uuid = changed.invoice_uuid
            AND gone.kind = 'invoice' AND gone.became IS NULL
        ORDER BY gone.id DESC
        LIMIT 1
    ) AS stored ON true
    WHERE NOT EXISTS (SELECT FROM locked WHERE locked.invoice_uuid = changed.invoice_uuid)
)
SELECT e.change, e.invoice_uuid, e.history_count, e.history_head, {ENTRY_DIGEST} AS digest,
       last.sequence AS last_sequence, last.hash AS last_hash, last.is_end AS last_is_end
FROM (
    SELECT found.*, CAST(:recorded_at AS timestamptz) AS recorded_at,
           CAST(:operation AS text) AS operation, CAST(:user_uuid AS uuid) AS user_uuid,
           CAST(:username AS text) AS username, CAST(:token AS text) AS token,
           CAST(:request_id AS text) AS request_id, CAST(:comment AS text) AS comment,
           CAST(:impersonator_uuid AS uuid) AS impersonator_uuid,
           CAST(:impersonator_username AS text) AS impersonator_username
    FROM found
) AS e
LEFT JOIN LATERAL (
    SELECT sequence, hash, data IS NULL AS is_end
    FROM invoice_history
    WHERE invoice_history.invoice_uuid = e.invoice_uuid
    ORDER BY sequence DESC
    LIMIT 1
) AS last ON true
ORDER BY e.invoice_uuid
""")  # noqa: S608 - made of constants


_first: Final = _changed(further=False)
_next: Final = _changed(further=True)

# Later changes belong to another entry.
_insert_entries: Final = text("""
WITH sealed AS (
    SELECT * FROM unnest(
        CAST(:invoices AS uuid[]), CAST(:sequences AS bigint[]), CAST(:previous AS bytea[]),
        CAST(:hashes AS bytea[]), CAST(:heads AS bytea[])
    ) AS sealed (uuid, sequence, previous, hash, head)
), entered AS (
    INSERT INTO invoice_history (
        change, invoice_uuid, sequence, recorded_at, operation, user_uuid, username, token,
        request_id, impersonator_uuid, impersonator_username, comment, data, previous, hash
    )
    SELECT CAST(:change AS uuid), sealed.uuid, sealed.sequence, CAST(:recorded_at AS timestamptz),
           :operation, CAST(:user_uuid AS uuid), :username, :token, :request_id,
           CAST(:impersonator_uuid AS uuid), :impersonator_username, :comment,
           CASE WHEN invoices.id IS NOT NULL THEN invoice_as_recorded(invoices) END,
           sealed.previous, sealed.hash
    FROM sealed LEFT JOIN invoices ON invoices.uuid = sealed.uuid
    ORDER BY sealed.uuid
), updated AS (
    UPDATE invoices SET history_count = sealed.sequence, history_head = sealed.head
    FROM sealed
    WHERE invoices.uuid = sealed.uuid
)
SELECT set_config('invoicing.change', '', true) WHERE CAST(:is_last AS boolean)
""")

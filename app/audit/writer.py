"""Seals the changes of a transaction with an entry for each subject, before the commit.

    async with audited_transaction(database, key, actor) as connection:
        ...

Triggers have written the changes by then. Sealing takes two statements for each thousand invoices,
and two for each thousand other subjects.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.audit.actor import Actor
from app.audit.hash_chain import EMPTY_HEAD, HashChain
from app.audit.seal_statements import SEAL_INVOICES, SEAL_SUBJECTS, SealStatements
from app.database.engine import Database

_BATCH: Final = 1000
"""Subjects that are sealed at a time."""


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

    Call it last before the commit, since it locks the subjects. Returns the number of entries.
    """
    sealed = 0
    for statements in (SEAL_INVOICES, SEAL_SUBJECTS):
        count, is_finished = await seal_records(connection, key, actor, comment, statements)
        sealed += count
        if is_finished:
            break
    return sealed


async def seal_records(
    connection: AsyncConnection,
    key: SecretStr,
    actor: Actor,
    comment: str,
    statements: SealStatements,
) -> tuple[int, bool]:
    """Write entries in the records of invoices, or in those of other subjects.

    Returns their number, and whether the transaction has certainly no changes left.
    """
    chain = HashChain(key.get_secret_value().encode())
    header = asdict(actor) | {"recorded_at": clock.now(), "comment": comment, "limit": _BATCH + 1}
    sealed = 0
    position: dict[str, Any] = {}
    while True:
        select = statements.select_next if position else statements.select_first
        found = (await connection.execute(select, header | position)).all()
        if not found:
            return sealed, False
        rows, is_last = found[:_BATCH], len(found) <= _BATCH
        values = header | _entries(chain, rows) | {"is_last": is_last}
        finished = (await connection.execute(statements.insert, values)).scalar_one_or_none()
        sealed += len(rows)
        if is_last:
            return sealed, finished is not None
        position = {"after": rows[-1].uuid, "after_kind": rows[-1].kind}


def _entries(chain: HashChain, rows: Sequence[Row[*tuple[Any, ...]]]) -> dict[str, Any]:
    """Return the columns of the entries for the changed subjects."""
    columns: dict[str, list[Any]] = {
        name: [] for name in ("uuids", "kinds", "data", "sequences", "previous", "hashes", "heads")
    }
    for row in rows:
        uuid: UUID = row.uuid
        previous = row.history_head or EMPTY_HEAD
        last = row.last_sequence or 0
        if not row.history_count and row.last_is_end:
            # The invoice was deleted and created again.
            previous = chain.head_hash(uuid, last, row.last_hash)
        # Skip entries that the subject does not count; `audit verify` reports them.
        sequence = max(row.history_count or 0, last) + 1
        entry = chain.entry_hash(uuid, sequence, previous, row.digest)
        columns["uuids"].append(uuid)
        columns["kinds"].append(row.kind)
        columns["data"].append(row.data)
        columns["sequences"].append(sequence)
        columns["previous"].append(previous)
        columns["hashes"].append(entry)
        columns["heads"].append(chain.head_hash(uuid, sequence, entry))
    return columns | {"change": rows[0].change}

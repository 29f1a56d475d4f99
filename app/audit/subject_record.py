"""The record of one subject of any kind, for the command line."""

from collections.abc import AsyncGenerator
from typing import Final
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.record_tables import INVOICES, SUBJECTS, RecordTables

_BATCH: Final = 100


async def read_record(connection: AsyncConnection, uuid: UUID) -> AsyncGenerator[RowMapping, None]:
    """Yield the sealed changes of a subject, oldest first; none if it has no record.

    Each row has the columns of the entry, and of the change `row_kind`, `row_uuid`, `was` and
    `became`, as JSON texts. The changes of an entry follow each other.
    """
    for statement in _RECORDS:
        options = {"yield_per": _BATCH}
        rows = await connection.stream(statement, {"uuid": uuid}, execution_options=options)
        async for row in rows.mappings():
            yield row


def _record(tables: RecordTables, kind: str) -> str:
    return f"""
SELECT {kind} AS kind, e.sequence, e.recorded_at, e.operation, e.username, e.token, e.request_id,
       e.impersonator_username, e.comment, c.kind AS row_kind, c.{tables.row} AS row_uuid,
       c.was::text AS was, c.became::text AS became
FROM {tables.entries} AS e JOIN {tables.changes} AS c ON {tables.same_entry("c", "e")}
WHERE e.{tables.key[0]} = :uuid
ORDER BY kind, e.sequence, c.id
"""  # noqa: S608 - made of constants


_RECORDS: Final = (text(_record(INVOICES, "'invoice'")), text(_record(SUBJECTS, "e.kind")))

"""Exports and imports audit entries and changes unmodified, so that the hash chains stay valid.

An import takes them only for subjects that have no audit entries here: the entries of two databases
on one subject are not one chain. The changes of the import itself become the next entry. The audit
records precede their subjects in an export.
"""

from collections.abc import Collection, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.record_tables import INVOICES, SUBJECTS, RecordTables
from app.database.copying import copy_rows
from app.dataio.database_errors import rejection_reason
from app.dataio.import_report import ImportReport, RejectedRecord
from app.dataio.records.audit import (
    AuditRecord,
    EntryRecord,
    HistoryChangeRecord,
    HistoryEntryRecord,
    SubjectHistoryChangeRecord,
    SubjectHistoryEntryRecord,
)
from app.dataio.records.record import kind_of

_BATCH_RECORDS: Final = 5000
_Key = tuple[object, ...]

_RECORD_TABLES: Final[dict[type[AuditRecord], RecordTables]] = {
    HistoryEntryRecord: INVOICES,
    HistoryChangeRecord: INVOICES,
    SubjectHistoryEntryRecord: SUBJECTS,
    SubjectHistoryChangeRecord: SUBJECTS,
}
_OTHER_NAMES: Final = {
    "user": "user_uuid",
    "impersonator": "impersonator_uuid",
    "of": "kind",
}
_HASHES: Final = ("previous", "hash", "head")


def _table(model: type[AuditRecord]) -> str:
    tables = _RECORD_TABLES[model]
    return tables.entries if issubclass(model, EntryRecord) else tables.changes


def _columns(model: type[AuditRecord]) -> dict[str, str]:
    """Return the column of each field; the hashes are last."""
    names = _OTHER_NAMES | {"uuid": _RECORD_TABLES[model].key[0]}
    fields = [field for field in model.model_fields if field not in ("kind", *_HASHES)]
    fields += [field for field in _HASHES if field in model.model_fields]
    return {field: names.get(field, field) for field in fields}


_COLUMNS: Final = {model: _columns(model) for model in _RECORD_TABLES}
"""The column of each field. The head of a chain is kept with the subject instead."""
_HEADS: Final = {
    INVOICES: "(SELECT *, uuid AS invoice_uuid FROM invoices)",
    SUBJECTS: "subject_heads",
}
"""The rows with the counts and heads."""
_EXPORTED: Final = {
    **{field: f"encode(e.{field}, 'hex')" for field in _HASHES},
    **{field: f"e.{field}::text" for field in ("data", "was", "became")},
    "head": "CASE WHEN kept.history_count = e.sequence THEN encode(kept.history_head, 'hex') END",
}


def _select_lines(model: type[AuditRecord]) -> TextClause:
    tables = _RECORD_TABLES[model]
    heads = f"LEFT JOIN {_HEADS[tables]} AS kept ON {tables.same_subject('kept', 'e')}"
    fields = ", ".join(
        f'{_EXPORTED.get(field, f"e.{column}")} AS "{field}"'
        for field, column in _COLUMNS[model].items()
    )
    return text(f"""
SELECT row_to_json(record)::text AS line
FROM {_table(model)} AS e {heads if issubclass(model, EntryRecord) else ""}
CROSS JOIN LATERAL (SELECT '{kind_of(model)}' AS kind, {fields}) AS record
ORDER BY e.id
""")  # noqa: S608 - made of constants


EXPORT_LINES: Final = tuple(map(_select_lines, _RECORD_TABLES))
"""Statements that select the lines of an export."""


class AuditImport:
    """Writes audit records in batches, in their order."""

    def __init__(self, connection: AsyncConnection, report: ImportReport) -> None:
        self._connection = connection
        self._report = report
        self._queues: dict[type[AuditRecord], list[tuple[AuditRecord, int]]] = {
            model: [] for model in _RECORD_TABLES
        }
        self._created: set[RecordTables] = set()
        """The records whose temporary tables exist."""

    async def add(self, record: AuditRecord, line: int) -> list[RejectedRecord]:
        """Queue a record; return the rejected batches, of which nothing is stored."""
        queue = self._queues[type(record)]
        queue.append((record, line))
        return await self.flush() if len(queue) >= _BATCH_RECORDS else []

    async def flush(self) -> list[RejectedRecord]:
        """Write the queued records; return the rejected batches."""
        rejected = []
        for model in _RECORD_TABLES:
            queue, self._queues[model] = self._queues[model], []
            if queue:
                rejected += await self._write(model, queue)
        return rejected

    async def store_chain_heads(self) -> None:
        """Store the heads of the imported hash chains; the invoices must exist by then."""
        for tables in self._created:
            await self._connection.execute(text(_STORE_CHAIN_HEADS[tables]))

    async def _write(
        self, model: type[AuditRecord], queue: Sequence[tuple[AuditRecord, int]]
    ) -> list[RejectedRecord]:
        tables = _RECORD_TABLES[model]
        if tables not in self._created:
            for statement in _create_tables(tables):
                await self._connection.execute(text(statement))
            self._created.add(tables)
        try:
            async with self._connection.begin_nested():
                taken = await self._take_subjects(tables, {_key(record) for record, _ in queue})
                records = [record for record, _ in queue if _key(record) in taken]
                await copy_rows(
                    self._connection, _table(model), map(_values, records), _stored_columns(model)
                )
                if issubclass(model, EntryRecord):
                    await self._set_heads(tables, records)
        except Exception as error:
            reason = rejection_reason(error)
            if reason is None:
                raise
            first, last = queue[0][1], queue[-1][1]
            return [RejectedRecord(first, f"audit records up to line {last}: {reason}")]
        counts = self._report.counts_for(kind_of(model))
        counts.created += len(records)
        counts.unchanged += len(queue) - len(records)
        return []

    async def _take_subjects(self, tables: RecordTables, keys: Collection[_Key]) -> set[_Key]:
        """Return the subjects, of the given ones, whose audit records this import takes."""
        rows = await self._connection.execute(_take(tables), _arrays(tables, keys))
        return {tuple(row) for row in rows}

    async def _set_heads(self, tables: RecordTables, records: Sequence[AuditRecord]) -> None:
        last = [each for each in records if isinstance(each, EntryRecord) and each.head is not None]
        values = _arrays(tables, [_key(each) for each in last]) | {
            "sequences": [each.sequence for each in last],
            "heads": [bytes.fromhex(each.head or "") for each in last],
        }
        await self._connection.execute(_set_heads(tables), values)


def _key(record: AuditRecord) -> _Key:
    """Return the values of `RecordTables.key`."""
    match record:
        case SubjectHistoryEntryRecord() | SubjectHistoryChangeRecord():
            return record.uuid, record.of
        case _:
            return (record.uuid,)


def _arrays(tables: RecordTables, keys: Collection[_Key]) -> dict[str, list[Any]]:
    """Return the parameters of `_given`."""
    names = tables.key
    return {name: [key[place] for key in keys] for place, name in enumerate(names)}


def _given(tables: RecordTables, **more: str) -> str:
    """Return the SQL of rows with the keys of subjects and more columns, of these types.

    Each column is an array of the parameters. The arrays of the columns in `more` have its names
    with an `s`.
    """
    types = {name: "uuid" if name.endswith("uuid") else "text" for name in tables.key}
    arrays = [f"CAST(:{name} AS {each}[])" for name, each in types.items()]
    arrays += [f"CAST(:{name}s AS {each}[])" for name, each in more.items()]
    return f"unnest({', '.join(arrays)}) AS given ({', '.join((*types, *more))})"


def _stored_columns(model: type[AuditRecord]) -> list[str]:
    return [column for field, column in _COLUMNS[model].items() if field != "head"]


def _values(record: AuditRecord) -> tuple[object, ...]:
    """Return the values of `_stored_columns`."""
    values: tuple[object, ...] = _GET_FIELDS[type(record)](record)
    if not isinstance(record, EntryRecord):
        return values
    return (*values, bytes.fromhex(record.previous), bytes.fromhex(record.hash))


_GET_FIELDS: Final = {
    model: attrgetter(*(field for field in fields if field not in _HASHES))
    for model, fields in _COLUMNS.items()
}


def _create_tables(tables: RecordTables) -> tuple[str, ...]:
    entries, key = tables.entries, ", ".join(tables.key)
    return (
        # The subjects of which this database has changes that no entry seals yet.
        f"""
CREATE TEMPORARY TABLE import_{entries}_unsealed ON COMMIT DROP AS
SELECT DISTINCT {key} FROM ({tables.unsealed}) AS unsealed
""",  # noqa: S608 - made of constants
        # The subjects whose audit records this import takes, and the heads of their chains.
        f"""
CREATE TEMPORARY TABLE import_{entries}_taken ON COMMIT DROP AS
SELECT {key}, NULL::bigint AS history_count, NULL::bytea AS history_head
FROM {entries} WITH NO DATA
""",  # noqa: S608 - made of constants
        f"ALTER TABLE import_{entries}_taken ADD PRIMARY KEY ({key})",
    )


@cache
def _take(tables: RecordTables) -> TextClause:
    """Take those of the given subjects that have no audit records here; return all taken ones."""
    taken, key = f"import_{tables.entries}_taken", ", ".join(tables.key)
    return text(f"""
WITH added AS (
    INSERT INTO {taken} ({key})
    SELECT {key} FROM {_given(tables)}
    WHERE NOT EXISTS (
        SELECT FROM {tables.entries} AS e WHERE {tables.same_subject("e", "given")}
    ) AND NOT EXISTS (
        SELECT FROM import_{tables.entries}_unsealed AS u
        WHERE {tables.same_subject("u", "given")}
    )
    ON CONFLICT DO NOTHING
    RETURNING {key}
)
SELECT {key} FROM added
UNION ALL
SELECT {key} FROM {taken} JOIN {_given(tables)} USING ({key})
""")  # noqa: S608 - made of constants


@cache
def _set_heads(tables: RecordTables) -> TextClause:
    return text(f"""
UPDATE import_{tables.entries}_taken AS chain
SET history_count = given.sequence, history_head = given.head
FROM {_given(tables, sequence="bigint", head="bytea")}
WHERE {tables.same_subject("given", "chain")}
""")  # noqa: S608 - made of constants


_STORE_CHAIN_HEADS: Final = {
    INVOICES: """
UPDATE invoices
SET history_count = chain.history_count, history_head = chain.history_head
FROM import_invoice_history_taken AS chain
WHERE invoices.uuid = chain.invoice_uuid AND invoices.history_count = 0
    AND chain.history_count IS NOT NULL
""",
    SUBJECTS: """
INSERT INTO subject_heads (subject_uuid, kind, history_count, history_head)
SELECT subject_uuid, kind, history_count, history_head FROM import_subject_history_taken
WHERE history_count IS NOT NULL
ON CONFLICT DO NOTHING
""",
}

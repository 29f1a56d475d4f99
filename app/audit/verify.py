"""Checking the record of changes: every hash is made again, and every row compared with it.

It reads one snapshot, in bounded memory, and tells what is not as it was recorded.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.digest import ENTRY_DIGEST
from app.audit.hash_chain import EMPTY_HEAD, HashChain
from app.database import timeouts
from app.database.engine import Database
from app.settings import AuditSettings

_ROWS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Something that is not as it was recorded."""

    what: str
    """In words."""
    invoice: UUID
    number: int | None = None
    """Of the invoice, where it is there."""
    sequence: int | None = None
    """Of the entry, where it is about one."""

    def __str__(self) -> str:
        number = f" (number {self.number})" if self.number is not None else ""
        entry = f", entry {self.sequence}" if self.sequence is not None else ""
        return f"invoice {self.invoice}{number}{entry}: {self.what}"


@dataclass
class VerificationResult:
    """What was looked at, filled as it goes on."""

    invoices: int = 0
    """That have a record."""
    entries: int = 0
    discrepancies: int = 0

    def __str__(self) -> str:
        return (
            f"Records: {self.invoices:,}; entries: {self.entries:,};"
            f" discrepancies: {self.discrepancies:,}."
        )


async def verify(
    database: Database, settings: AuditSettings, result: VerificationResult
) -> AsyncGenerator[Discrepancy, None]:
    """Yield each finding; `result` counts meanwhile."""
    keys = (settings.audit_key, *settings.audit_keys_previous)
    chains = tuple(HashChain(key) for key in keys)
    async with database.snapshot() as connection:
        await timeouts.disable_timeouts(connection)
        async with aclosing(_entries(connection, chains, result)) as findings:
            async for finding in findings:
                result.discrepancies += 1
                yield finding
        for statement, words in _OTHERS:
            async with aclosing(_rows(connection, statement)) as rows:
                async for row in rows:
                    result.discrepancies += 1
                    yield Discrepancy(words(row), row["invoice_uuid"], row["number"])


async def _rows(
    connection: AsyncConnection, statement: TextClause
) -> AsyncGenerator[RowMapping, None]:
    options = {"yield_per": _ROWS_AT_ONCE}
    found = await connection.stream(statement, execution_options=options)
    async for row in found.mappings():
        yield row


async def _entries(
    connection: AsyncConnection, chains: tuple[HashChain, ...], result: VerificationResult
) -> AsyncGenerator[Discrepancy, None]:
    record: _Record | None = None
    async with aclosing(_rows(connection, _ENTRIES)) as rows:
        async for row in rows:
            if record is None or record.invoice != row["invoice_uuid"]:
                for finding in record.ended() if record else ():
                    yield finding
                record = _Record(row, chains)
                result.invoices += 1
            result.entries += 1
            for finding in record.take(row):
                yield finding
    for finding in record.ended() if record else ():
        yield finding


@dataclass
class _Record:
    """The record of one invoice, entry by entry."""

    first: RowMapping
    chains: tuple[HashChain, ...]
    sequence: int = 0
    heads: set[bytes] = field(default_factory=lambda: {EMPTY_HEAD})
    """What the head may have been before the next entry: under each key, and also without entries
    that nobody with a key made."""
    last: RowMapping | None = None

    @property
    def invoice(self) -> UUID:
        return self.first["invoice_uuid"]  # type: ignore[no-any-return]  # a row has no types

    def _found(self, what: str, sequence: int | None = None) -> Discrepancy:
        return Discrepancy(what, self.invoice, self.first["number"], sequence)

    def _missing(self, what: str, following: int) -> list[Discrepancy]:
        """Tell of the entries that should be between the last one and the following."""
        first, last = self.sequence + 1, following - 1
        if first > last:
            return []
        return [self._found(what if first == last else f"{what}, as all up to {last}", first)]

    def take(self, row: RowMapping) -> list[Discrepancy]:
        """Look at the next entry."""
        sequence, previous = row["sequence"], row["previous"]
        findings = self._missing("removed", sequence)
        is_genuine = row["hash"] in {
            chain.entry_hash(self.invoice, sequence, previous, row["digest"])
            for chain in self.chains
        }
        if not is_genuine and row["is_there"] and sequence > row["history_count"]:
            findings.append(self._found("inserted", sequence))
        elif not is_genuine:
            findings.append(self._found("changed, or its changes were", sequence))
        elif not findings and previous not in self.heads:
            findings.append(self._found("does not follow from the one before", sequence))
        if is_genuine and row["unexplained"]:
            fields = ", ".join(row["unexplained"])
            findings.append(self._found(f"no change tells of what it shows of {fields}", sequence))
        after = {chain.head_hash(self.invoice, sequence, row["hash"]) for chain in self.chains}
        self.heads = after if is_genuine else self.heads | after
        self.sequence, self.last = sequence, row
        return findings

    def ended(self) -> list[Discrepancy]:
        """Compare the last entry with what the invoice is and keeps."""
        row = self.last or self.first
        if not row["is_there"]:
            return [] if row["is_end"] else [self._found("is gone, and no entry tells of it")]
        findings = []
        count = row["history_count"]
        if count > self.sequence:
            findings = self._missing("cut off", count + 1)
        elif count != self.sequence or row["history_head"] not in self.heads:
            findings.append(self._found("what it keeps of its record is not its last entry"))
        if row["is_end"]:
            findings.append(self._found("is there, though its record ends"))
        elif row["differing"]:
            fields = ", ".join(row["differing"])
            findings.append(self._found(f"differs from its last entry in {fields}"))
        return findings


# A column that was added since is not compared: the entry does not tell of it.
_ENTRIES: Final = text(f"""
SELECT e.invoice_uuid, i.number, i.id IS NOT NULL AS is_there, i.history_count, i.history_head,
       e.sequence, e.previous, e.hash, e.data IS NULL AS is_end, {ENTRY_DIGEST} AS digest,
       (
           SELECT array_agg(told.key ORDER BY told.key)
           FROM jsonb_each(e.data) AS told
           WHERE e.before ? told.key AND e.before -> told.key <> told.value AND NOT EXISTS (
               SELECT FROM invoice_changes AS own
               WHERE own.change = e.change AND own.invoice_uuid = e.invoice_uuid
                   AND own.kind = 'invoice' AND own.became -> told.key = told.value
           ) AND NOT EXISTS (
               SELECT
               FROM invoice_history AS other
               JOIN invoice_changes AS any_of
                   ON any_of.change = other.change AND any_of.invoice_uuid = other.invoice_uuid
               WHERE other.invoice_uuid = e.invoice_uuid
                   AND any_of.kind = 'invoice' AND any_of.became -> told.key = told.value
           )
       ) AS unexplained,
       CASE WHEN e.is_last AND i.id IS NOT NULL THEN (
           SELECT array_agg(told.key ORDER BY told.key)
           FROM (SELECT invoice_as_recorded(i) AS row OFFSET 0) AS now, jsonb_each(e.data) AS told
           WHERE now.row -> told.key IS DISTINCT FROM told.value
       ) END AS differing
FROM (
    SELECT *,
           lag(data) OVER (PARTITION BY invoice_uuid ORDER BY sequence) AS before,
           lead(id) OVER (PARTITION BY invoice_uuid ORDER BY sequence) IS NULL AS is_last
    FROM invoice_history
) AS e
LEFT JOIN invoices AS i ON i.uuid = e.invoice_uuid
ORDER BY e.invoice_uuid, e.sequence
""")  # noqa: S608 - made of constants

IS_COMPLETE: Final = """EXISTS (
    SELECT FROM invoice_history AS e
    JOIN invoice_changes AS c ON c.change = e.change AND c.invoice_uuid = e.invoice_uuid
    WHERE e.invoice_uuid = i.uuid AND c.kind = 'invoice' AND c.was IS NULL
)"""
"""Whether the record of the invoice `i` tells all of it: it was made, or adopted, within."""

UNSEALED: Final = """
SELECT c.invoice_uuid, c.change, min(c.id) AS first
FROM invoice_changes AS c
WHERE NOT EXISTS (
    SELECT FROM invoice_history AS e
    WHERE e.change = c.change AND e.invoice_uuid = c.invoice_uuid
)
GROUP BY c.invoice_uuid, c.change
"""
"""The changes that belong to no entry."""


def _beneath(kind: str, table: str) -> TextClause:
    """Compare rows beneath the invoices with what was last recorded of each."""
    return text(f"""
SELECT i.uuid AS invoice_uuid, i.number, count(*) AS count, '{kind}' AS kind
FROM (
    SELECT DISTINCT ON (invoice_uuid, subject) invoice_uuid, subject, id
    FROM invoice_changes WHERE kind = '{kind}'
    ORDER BY invoice_uuid, subject, id DESC
) AS latest
FULL JOIN (
    SELECT i.uuid AS invoice_uuid, r.uuid AS subject, {kind}_as_recorded(r) AS row
    FROM {table} AS r JOIN invoices AS i ON i.id = r.invoice_id
) AS now ON now.invoice_uuid = latest.invoice_uuid AND now.subject = latest.subject
LEFT JOIN invoice_changes AS c ON c.id = latest.id
JOIN invoices AS i ON i.uuid = coalesce(now.invoice_uuid, latest.invoice_uuid)
WHERE (
    SELECT jsonb_object_agg(told.key, now.row -> told.key) FROM jsonb_each(c.became) AS told
) IS DISTINCT FROM c.became OR (now.row IS NULL) <> (c.became IS NULL)
GROUP BY i.id
HAVING {IS_COMPLETE}
ORDER BY i.uuid
""")  # noqa: S608 - made of constants


def _many(row: RowMapping) -> str:
    plural = "" if row["count"] == 1 else "s"
    return f"{row['count']:,} {row['kind']}{plural} of it not as recorded"


_OTHERS: Final[tuple[tuple[TextClause, Callable[[RowMapping], str]], ...]] = (
    (_beneath("item", "invoice_items"), _many),
    (_beneath("payment", "payments"), _many),
    (
        text(f"""
SELECT u.invoice_uuid, i.number, count(*) AS count
FROM ({UNSEALED}) AS u LEFT JOIN invoices AS i ON i.uuid = u.invoice_uuid
GROUP BY u.invoice_uuid, i.number ORDER BY u.invoice_uuid
"""),  # noqa: S608 - made of constants
        lambda row: (
            f"{row['count']:,} not sealed: written past the service or by an earlier release"
        ),
    ),
    (
        text(f"""
SELECT i.uuid AS invoice_uuid, i.number,
       EXISTS (SELECT FROM invoice_history AS e WHERE e.invoice_uuid = i.uuid) AS has_some
FROM invoices AS i WHERE NOT {IS_COMPLETE} ORDER BY i.uuid
"""),  # noqa: S608 - made of constants
        lambda row: (
            "its record does not begin with the whole of it" if row["has_some"] else "has no record"
        ),
    ),
)
"""What is sought beside the chains, and how it is told."""

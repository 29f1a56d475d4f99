"""Verifies the audit record: recomputes every hash, and compares every row with its record.

It reads one snapshot, in bounded memory, and yields each discrepancy.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
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

_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A difference between the record and the data, or a broken chain."""

    description: str
    invoice: UUID
    number: int | None = None
    """The number of the invoice, if it exists."""
    sequence: int | None = None
    """The sequence of the entry, if it concerns one."""

    def __str__(self) -> str:
        number = f" (number {self.number})" if self.number is not None else ""
        entry = f", entry {self.sequence}" if self.sequence is not None else ""
        return f"invoice {self.invoice}{number}{entry}: {self.description}"


@dataclass
class VerificationResult:
    """The numbers of checked records and of discrepancies, updated during the verification."""

    invoices: int = 0
    """Invoices with a record."""
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
    """Yield each discrepancy; update the counts of `result`."""
    keys = (settings.audit_key, *settings.audit_keys_previous)
    keyed_hashes = tuple(HashChain(key.get_secret_value().encode()) for key in keys)
    async with database.snapshot() as connection:
        await timeouts.disable_timeouts(connection)
        async with aclosing(_entries(connection, keyed_hashes, result)) as discrepancies:
            async for discrepancy in discrepancies:
                result.discrepancies += 1
                yield discrepancy
        for statement, describe in _FURTHER_CHECKS:
            async with aclosing(_rows(connection, statement)) as rows:
                async for row in rows:
                    result.discrepancies += 1
                    yield Discrepancy(describe(row), row["invoice_uuid"], row["number"])


async def _rows(
    connection: AsyncConnection, statement: TextClause
) -> AsyncGenerator[RowMapping, None]:
    options = {"yield_per": _BATCH}
    found = await connection.stream(statement, execution_options=options)
    async for row in found.mappings():
        yield row


async def _entries(
    connection: AsyncConnection, keyed_hashes: tuple[HashChain, ...], result: VerificationResult
) -> AsyncGenerator[Discrepancy, None]:
    chain: _InvoiceChain | None = None
    async with aclosing(_rows(connection, _ENTRIES)) as rows:
        async for row in rows:
            if chain is None or chain.invoice != row["invoice_uuid"]:
                for discrepancy in chain.check_end() if chain else ():
                    yield discrepancy
                chain = _InvoiceChain(row, keyed_hashes)
                result.invoices += 1
            result.entries += 1
            for discrepancy in chain.check_entry(row):
                yield discrepancy
    for discrepancy in chain.check_end() if chain else ():
        yield discrepancy


@dataclass
class _InvoiceChain:
    """The chain of one invoice, checked entry by entry."""

    first: RowMapping
    keyed_hashes: tuple[HashChain, ...]
    """One for each key that may have sealed an entry."""
    sequence: int = 0
    heads: set[bytes] = field(default_factory=lambda: {EMPTY_HEAD})
    """The heads that the next entry may continue: one for each key, and those from before entries
    that were inserted without a key."""
    last: RowMapping | None = None

    @property
    def invoice(self) -> UUID:
        return self.first["invoice_uuid"]  # type: ignore[no-any-return]  # a row has no types

    def _discrepancy(self, description: str, sequence: int | None = None) -> Discrepancy:
        return Discrepancy(description, self.invoice, self.first["number"], sequence)

    def _missing(self, description: str, following: int) -> Iterator[Discrepancy]:
        """Report the entries that are missing between the last one and the following."""
        first, last = self.sequence + 1, following - 1
        if last > first:
            description = f"{description}, like all entries up to {last}"
        if last >= first:
            yield self._discrepancy(description, first)

    def check_entry(self, row: RowMapping) -> Iterator[Discrepancy]:
        """Check the next entry."""
        sequence, previous = row["sequence"], row["previous"]
        is_next = sequence == self.sequence + 1
        yield from self._missing("the entry was removed", sequence)
        is_genuine = row["hash"] in {
            each.entry_hash(self.invoice, sequence, previous, row["digest"])
            for each in self.keyed_hashes
        }
        if not is_genuine and row["is_there"] and sequence > row["history_count"]:
            yield self._discrepancy("the entry was inserted without the key", sequence)
        elif not is_genuine:
            yield self._discrepancy("the entry or its recorded changes were modified", sequence)
        elif is_next and previous not in self.heads:
            yield self._discrepancy("the entry does not continue the one before", sequence)
        if is_genuine and row["unexplained"]:
            fields = ", ".join(row["unexplained"])
            yield self._discrepancy(f"no recorded change explains its values of {fields}", sequence)
        after = {each.head_hash(self.invoice, sequence, row["hash"]) for each in self.keyed_hashes}
        self.heads = after if is_genuine else self.heads | after
        self.sequence, self.last = sequence, row

    def check_end(self) -> Iterator[Discrepancy]:
        """Compare the last entry with the invoice, and with its count and head."""
        row = self.last or self.first
        if not row["is_there"]:
            if not row["is_end"]:
                yield self._discrepancy("the invoice was deleted, and no entry records it")
            return
        count = row["history_count"]
        if count > self.sequence:
            yield from self._missing("the entry was cut off the end", count + 1)
        elif count != self.sequence or row["history_head"] not in self.heads:
            yield self._discrepancy("its count or head does not match its last entry")
        if row["is_end"]:
            yield self._discrepancy(
                "the invoice exists, although its record ends with its deletion"
            )
        elif row["differing"]:
            fields = ", ".join(row["differing"])
            yield self._discrepancy(f"the invoice differs from its last entry in {fields}")


# Columns that were added later are not compared: the entry does not have them.
_ENTRIES: Final = text(f"""
SELECT e.invoice_uuid, i.number, i.id IS NOT NULL AS is_there, i.history_count, i.history_head,
       e.sequence, e.previous, e.hash, e.data IS NULL AS is_end, {ENTRY_DIGEST} AS digest,
       (
           SELECT array_agg(shown.key ORDER BY shown.key)
           FROM jsonb_each(e.data) AS shown
           WHERE e.before ? shown.key AND e.before -> shown.key <> shown.value AND NOT EXISTS (
               SELECT FROM invoice_changes AS own
               WHERE own.change = e.change AND own.invoice_uuid = e.invoice_uuid
                   AND own.kind = 'invoice' AND own.became -> shown.key = shown.value
           ) AND NOT EXISTS (
               SELECT
               FROM invoice_history AS other
               JOIN invoice_changes AS any_of
                   ON any_of.change = other.change AND any_of.invoice_uuid = other.invoice_uuid
               WHERE other.invoice_uuid = e.invoice_uuid
                   AND any_of.kind = 'invoice' AND any_of.became -> shown.key = shown.value
           )
       ) AS unexplained,
       CASE WHEN e.is_last AND i.id IS NOT NULL THEN (
           SELECT array_agg(shown.key ORDER BY shown.key)
           FROM (SELECT invoice_as_recorded(i) AS row OFFSET 0) AS now, jsonb_each(e.data) AS shown
           WHERE now.row -> shown.key IS DISTINCT FROM shown.value
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
"""Whether the record of the invoice `i` starts with its creation, or with a backfill."""

UNSEALED: Final = """
SELECT c.invoice_uuid, c.change, min(c.id) AS first
FROM invoice_changes AS c
WHERE NOT EXISTS (
    SELECT FROM invoice_history AS e
    WHERE e.change = c.change AND e.invoice_uuid = c.invoice_uuid
)
GROUP BY c.invoice_uuid, c.change
"""
"""The changes without an entry."""


def _differing_rows(kind: str, table: str) -> TextClause:
    """Compare the items or payments of invoices with the last recorded change of each."""
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
    SELECT jsonb_object_agg(shown.key, now.row -> shown.key) FROM jsonb_each(c.became) AS shown
) IS DISTINCT FROM c.became OR (now.row IS NULL) <> (c.became IS NULL)
GROUP BY i.id
HAVING {IS_COMPLETE}
ORDER BY i.uuid
""")  # noqa: S608 - made of constants


def _describe_rows(row: RowMapping) -> str:
    return f"{row['count']:,} {row['kind']}{_plural(row)} not as recorded"


def _plural(row: RowMapping) -> str:
    return "" if row["count"] == 1 else "s"


_FURTHER_CHECKS: Final[tuple[tuple[TextClause, Callable[[RowMapping], str]], ...]] = (
    (_differing_rows("item", "invoice_items"), _describe_rows),
    (_differing_rows("payment", "payments"), _describe_rows),
    (
        text(f"""
SELECT u.invoice_uuid, i.number, count(*) AS count
FROM ({UNSEALED}) AS u LEFT JOIN invoices AS i ON i.uuid = u.invoice_uuid
GROUP BY u.invoice_uuid, i.number ORDER BY u.invoice_uuid
"""),  # noqa: S608 - made of constants
        lambda row: (
            f"{row['count']:,} change{_plural(row)} without an entry:"
            " made outside the service or by an earlier release"
        ),
    ),
    (
        text(f"""
SELECT i.uuid AS invoice_uuid, i.number,
       EXISTS (SELECT FROM invoice_history AS e WHERE e.invoice_uuid = i.uuid) AS has_some
FROM invoices AS i WHERE NOT {IS_COMPLETE} ORDER BY i.uuid
"""),  # noqa: S608 - made of constants
        lambda row: (
            "its record does not start with its whole state" if row["has_some"] else "no record"
        ),
    ),
)
"""Checks beyond the chains, each with the description of a row."""

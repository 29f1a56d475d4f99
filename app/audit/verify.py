"""Verifies the audit record: recomputes every hash, and compares every row with its record.

It reads one snapshot, in bounded memory, and yields each discrepancy.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy import RowMapping, TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.hash_chain import EMPTY_HEAD, HashChain
from app.audit.verify_statements import (
    COUNT_ENTRIES,
    CREDIT_NOTES,
    DIFFERING_ROWS,
    DOCUMENTS,
    INCOMPLETE_RECORDS,
    INVOICE_ENTRIES,
    SUBJECT_ENTRIES,
    UNSEALED_CHANGES,
)
from app.database import timeouts
from app.database.engine import Database
from app.progress import UNWATCHED, Progress
from app.settings import AuditSettings

_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A difference between the record and the data, or a broken chain."""

    description: str
    kind: str
    """The kind of subject: an invoice, or one of `SubjectKind`."""
    uuid: UUID
    """The UUID of the subject."""
    number: int | None = None
    """The number of an invoice that exists."""
    sequence: int | None = None
    """The sequence of the entry, if it concerns one."""

    def __str__(self) -> str:
        number = f" (number {self.number})" if self.number is not None else ""
        entry = f", entry {self.sequence}" if self.sequence is not None else ""
        return f"{_noun(self.kind)} {self.uuid}{number}{entry}: {self.description}"


@dataclass
class VerificationResult:
    """The numbers of checked records and of discrepancies, updated during the verification."""

    records: int = 0
    entries: int = 0
    discrepancies: int = 0

    def __str__(self) -> str:
        return (
            f"Records: {self.records:,}; entries: {self.entries:,};"
            f" discrepancies: {self.discrepancies:,}."
        )


async def verify(
    database: Database,
    settings: AuditSettings,
    result: VerificationResult,
    progress: Progress = UNWATCHED,
) -> AsyncGenerator[Discrepancy, None]:
    """Yield each discrepancy; update the counts of `result`."""
    keys = (settings.audit_key, *settings.audit_keys_previous)
    keyed_hashes = tuple(HashChain(key.get_secret_value().encode()) for key in keys)
    async with database.snapshot() as connection:
        await timeouts.disable_timeouts(connection)
        if progress.is_watched:
            progress.begin("entries", await connection.scalar(COUNT_ENTRIES))
        for entries in (INVOICE_ENTRIES, SUBJECT_ENTRIES):
            async with aclosing(
                _check_chains(connection, entries, keyed_hashes, result, progress)
            ) as discrepancies:
                async for discrepancy in discrepancies:
                    result.discrepancies += 1
                    yield discrepancy
        progress.begin("checks", len(_FURTHER_CHECKS))
        for statement, describe in _FURTHER_CHECKS:
            async with aclosing(_rows(connection, statement)) as rows:
                async for row in rows:
                    result.discrepancies += 1
                    yield Discrepancy(describe(row), row["kind"], row["uuid"], row["number"])
            progress.advance()


async def _rows(
    connection: AsyncConnection, statement: TextClause
) -> AsyncGenerator[RowMapping, None]:
    options = {"yield_per": _BATCH}
    found = await connection.stream(statement, execution_options=options)
    async for row in found.mappings():
        yield row


async def _check_chains(
    connection: AsyncConnection,
    entries: TextClause,
    keyed_hashes: tuple[HashChain, ...],
    result: VerificationResult,
    progress: Progress,
) -> AsyncGenerator[Discrepancy, None]:
    chain: _SubjectChain | None = None
    async with aclosing(_rows(connection, entries)) as rows:
        async for row in rows:
            if chain is None or chain.subject != (row["kind"], row["uuid"]):
                for discrepancy in chain.check_end() if chain else ():
                    yield discrepancy
                chain = _SubjectChain(row, keyed_hashes)
                result.records += 1
            result.entries += 1
            progress.reach(result.entries)
            for discrepancy in chain.check_entry(row):
                yield discrepancy
    for discrepancy in chain.check_end() if chain else ():
        yield discrepancy


@dataclass
class _SubjectChain:
    """The chain of one subject, checked entry by entry."""

    first: RowMapping
    keyed_hashes: tuple[HashChain, ...]
    """One for each key that may have sealed an entry."""
    sequence: int = 0
    heads: set[bytes] = field(default_factory=lambda: {EMPTY_HEAD})
    """The heads that the next entry may continue: one for each key, and those from before entries
    that were inserted without a key."""
    last: RowMapping | None = None

    @property
    def subject(self) -> tuple[str, UUID]:
        return self.first["kind"], self.first["uuid"]

    def _discrepancy(self, description: str, sequence: int | None = None) -> Discrepancy:
        return Discrepancy(description, *self.subject, self.first["number"], sequence)

    def _missing(self, description: str, following: int) -> Iterator[Discrepancy]:
        """Report the entries that are missing between the last one and the following."""
        first, last = self.sequence + 1, following - 1
        if last > first:
            description = f"{description}, like all entries up to {last}"
        if last >= first:
            yield self._discrepancy(description, first)

    def check_entry(self, row: RowMapping) -> Iterator[Discrepancy]:
        """Check the next entry."""
        uuid, sequence, previous = row["uuid"], row["sequence"], row["previous"]
        is_next = sequence == self.sequence + 1
        yield from self._missing("the entry was removed", sequence)
        is_genuine = row["hash"] in {
            each.entry_hash(uuid, sequence, previous, row["digest"]) for each in self.keyed_hashes
        }
        if not is_genuine and row["has_head"] and sequence > row["history_count"]:
            yield self._discrepancy("the entry was inserted without the key", sequence)
        elif not is_genuine:
            yield self._discrepancy("the entry or its recorded changes were modified", sequence)
        elif is_next and previous not in self.heads:
            yield self._discrepancy("the entry does not continue the one before", sequence)
        if is_genuine and row["unexplained"]:
            fields = ", ".join(row["unexplained"])
            yield self._discrepancy(f"no recorded change explains its values of {fields}", sequence)
        after = {each.head_hash(uuid, sequence, row["hash"]) for each in self.keyed_hashes}
        self.heads = after if is_genuine else self.heads | after
        self.sequence, self.last = sequence, row

    def check_end(self) -> Iterator[Discrepancy]:
        """Compare the last entry with the subject, and with its count and head."""
        row = self.last or self.first
        noun = _noun(row["kind"])
        count = row["history_count"]
        if row["has_head"] and count > self.sequence:
            yield from self._missing("the entry was cut off the end", count + 1)
        elif row["has_head"] and (count != self.sequence or row["history_head"] not in self.heads):
            yield self._discrepancy("its count or head does not match its last entry")
        if not row["is_there"]:
            if not row["is_end"]:
                yield self._discrepancy(f"the {noun} was deleted, and no entry records it")
        elif row["is_end"]:
            yield self._discrepancy(
                f"the {noun} exists, although its record ends with its deletion"
            )
        elif row["differing"]:
            fields = ", ".join(row["differing"])
            yield self._discrepancy(f"the {noun} differs from its last entry in {fields}")


def _noun(kind: str) -> str:
    return kind.replace("_", " ")


def _describe_rows(row: RowMapping) -> str:
    return f"{row['count']:,} {row['of_kind']}{_plural(row)} not as recorded"


def _describe_unsealed(row: RowMapping) -> str:
    return (
        f"{row['count']:,} change{_plural(row)} without an entry:"
        " made outside the service or by an earlier release"
    )


def _describe_incomplete(row: RowMapping) -> str:
    return "its record does not start with its whole state" if row["has_some"] else "no record"


def _describe_document(row: RowMapping) -> str:
    document = f"version {row['version']} of its document"
    if row["is_modified"]:
        return f"{document} was modified"
    if not row["follows"]:
        return f"the version before {document} was removed"
    return f"no entry records {document}"


def _describe_credit_note(_row: RowMapping) -> str:
    return "its document was modified"


def _plural(row: RowMapping) -> str:
    return "" if row["count"] == 1 else "s"


_FURTHER_CHECKS: Final[tuple[tuple[TextClause, Callable[[RowMapping], str]], ...]] = (
    *((statement, _describe_rows) for statement in DIFFERING_ROWS),
    *((statement, _describe_unsealed) for statement in UNSEALED_CHANGES),
    *((statement, _describe_incomplete) for statement in INCOMPLETE_RECORDS),
    (DOCUMENTS, _describe_document),
    (CREDIT_NOTES, _describe_credit_note),
)
"""Checks beyond the chains, each with the description of a row."""

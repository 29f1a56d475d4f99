"""The tables of the two records: that of invoices, and that of other subjects.

Both have the same form, so that one text of SQL serves both.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class RecordTables:
    """The names of a record's tables and columns."""

    changes: str
    entries: str
    key: tuple[str, ...]
    """The columns that identify a subject."""
    row: str
    """The column with the UUID of a changed row."""
    of_subject: str
    """The condition that the change `c` is one of the subject's own row."""

    def identity(self, alias: str) -> str:
        """Return the columns that identify the subject of a row."""
        return ", ".join(f"{alias}.{column}" for column in self.key)

    def same_subject(self, one: str, other: str) -> str:
        """Return the condition that two rows have the same subject."""
        return " AND ".join(f"{one}.{column} = {other}.{column}" for column in self.key)

    def same_entry(self, one: str, other: str) -> str:
        """Return the condition that two rows belong to the same entry."""
        return f"{one}.change = {other}.change AND {self.same_subject(one, other)}"

    @property
    def unsealed(self) -> str:
        """The select of the changes without an entry, grouped by subject and transaction."""
        identity = self.identity("c")
        return f"""
SELECT {identity}, c.change, min(c.id) AS first
FROM {self.changes} AS c
WHERE NOT EXISTS (SELECT FROM {self.entries} AS e WHERE {self.same_entry("e", "c")})
GROUP BY {identity}, c.change
"""  # noqa: S608 - made of constants

    def is_complete(self, subject: str) -> str:
        """Return the condition that the record of a subject starts with its whole row.

        It does so by its creation, or by a backfill. `subject` is the alias of a row with the
        columns of `key`.
        """
        return f"""EXISTS (
    SELECT FROM {self.entries} AS e
    JOIN {self.changes} AS c ON {self.same_entry("c", "e")}
    WHERE {self.same_subject("e", subject)} AND {self.of_subject} AND c.was IS NULL
)"""


INVOICES: Final = RecordTables(
    changes="invoice_changes",
    entries="invoice_history",
    key=("invoice_uuid",),
    row="subject",
    of_subject="c.kind = 'invoice'",
)
SUBJECTS: Final = RecordTables(
    changes="subject_changes",
    entries="subject_history",
    key=("subject_uuid", "kind"),
    row="subject_uuid",
    of_subject="true",
)

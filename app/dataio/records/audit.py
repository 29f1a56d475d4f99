"""Records of the audit trails."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from app.audit.models import ChangeKind, SubjectKind
from app.dataio.field_types import Sha256, Text, Time
from app.dataio.records.record import Record

_BIGINT = 2**63 - 1


class _AuditEntry(BaseModel):
    """The fields that the entries of both audit trails have after the subject."""

    change: UUID
    """The transaction: the same UUID in all of its entries and changes."""
    sequence: int = Field(ge=1, lt=_BIGINT)
    """The position among the entries of the subject, from 1."""
    recorded_at: Time
    operation: Text = ""
    user: UUID | None = None
    """The actor, also after the user's deletion; null for jobs and commands."""
    username: Text = ""
    token: Text = ""
    """The name of the token: the impersonator's, if there is one, otherwise the user's."""
    request_id: Text = ""
    impersonator: UUID | None = None
    """The staff user who acted as `user`, also after the deletion of that staff user."""
    impersonator_username: Text = ""
    comment: Text = ""
    data: Text | None = None
    """The row after the change, as JSON text; null if it was deleted."""
    previous: Sha256
    """The head of the hash chain before this entry."""
    hash: Sha256
    """The keyed hash of this entry and its changes."""
    head: Sha256 | None = None
    """In the last entry of a subject: the head of its hash chain."""


class HistoryEntryRecord(_AuditEntry, Record):
    """An entry of the audit trail: one transaction's changes of one invoice, whose `uuid` it has.

    The entries of an invoice precede it in a file. An import takes them only if the invoice has
    none yet.
    """

    kind: Literal["history_entry"] = "history_entry"


class HistoryChangeRecord(Record):
    """One changed row in the audit trail of the invoice whose `uuid` it has."""

    kind: Literal["history_change"] = "history_change"
    change: UUID
    """The transaction, as in the entry."""
    of: ChangeKind
    """The kind of row."""
    subject: UUID
    """The UUID of the row."""
    was: Text | None = None
    """The row before the change, as JSON text; null for a new row."""
    became: Text | None = None
    """The row after the change, as JSON text; null for a deleted row."""


class SubjectHistoryEntryRecord(_AuditEntry, Record):
    """An entry of the audit trail of another subject, whose `uuid` it has."""

    kind: Literal["subject_history_entry"] = "subject_history_entry"
    of: SubjectKind
    """The kind of subject."""


class SubjectHistoryChangeRecord(Record):
    """One change of the subject whose `uuid` it has."""

    kind: Literal["subject_history_change"] = "subject_history_change"
    change: UUID
    """The transaction, as in the entry."""
    of: SubjectKind
    """The kind of subject."""
    was: Text | None = None
    """The changed fields before the change, as JSON text; null for a new row."""
    became: Text | None = None
    """The changed fields after the change, as JSON text; null for a deleted row."""


EntryRecord = HistoryEntryRecord | SubjectHistoryEntryRecord
AuditRecord = (
    HistoryEntryRecord
    | HistoryChangeRecord
    | SubjectHistoryEntryRecord
    | SubjectHistoryChangeRecord
)

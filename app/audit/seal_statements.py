"""The statements that seal changes: select and lock the changed subjects, then insert entries."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import TextClause, text

from app.audit.digest import entry_digest
from app.audit.record_tables import INVOICES, SUBJECTS


@dataclass(frozen=True, slots=True)
class SealStatements:
    """The statements for one of the two records."""

    select_first: TextClause
    """Selects and locks the first `limit` subjects that the transaction has changed.

    Rows have the change, the subject's `kind` and `uuid`, its count and head, the last entry, the
    digest of the new entry, and for `insert` its `data`, as text.
    """
    select_next: TextClause
    """Selects those that follow the subject `after` of the kind `after_kind`."""
    insert: TextClause
    """Inserts entries and updates counts and heads. If they are the last of the transaction, later
    changes belong to another entry, and it returns a row."""


_OF_TRANSACTION: Final = "change = nullif(current_setting('invoicing.change', true), '')::uuid"
_HEADER: Final = """
           CAST(:recorded_at AS timestamptz) AS recorded_at,
           CAST(:operation AS text) AS operation, CAST(:user_uuid AS uuid) AS user_uuid,
           CAST(:username AS text) AS username, CAST(:token AS text) AS token,
           CAST(:request_id AS text) AS request_id, CAST(:comment AS text) AS comment,
           CAST(:impersonator_uuid AS uuid) AS impersonator_uuid,
           CAST(:impersonator_username AS text) AS impersonator_username
"""
_HEADER_COLUMNS: Final = (
    "recorded_at, operation, user_uuid, username, token, request_id, impersonator_uuid,"
    " impersonator_username, comment"
)
_HEADER_VALUES: Final = """
           CAST(:recorded_at AS timestamptz), :operation, CAST(:user_uuid AS uuid), :username,
           :token, :request_id, CAST(:impersonator_uuid AS uuid), :impersonator_username, :comment
"""


def _changed_invoices(condition: str) -> TextClause:
    """Take count and head of a deleted invoice from its last change."""
    return text(f"""
WITH changed AS (
    SELECT DISTINCT change, invoice_uuid
    FROM invoice_changes AS c
    WHERE {_OF_TRANSACTION}
        AND NOT EXISTS (SELECT FROM invoice_history AS e WHERE {INVOICES.same_entry("e", "c")})
        AND {condition}
    ORDER BY invoice_uuid
    LIMIT :limit
), locked AS (
    SELECT changed.change, changed.invoice_uuid, history_count, history_head,
           recorded_invoice(invoices, customers.uuid, invoice_documents.digest) AS data
    FROM changed JOIN invoices ON invoices.uuid = changed.invoice_uuid
    LEFT JOIN customers ON customers.id = invoices.customer_id
    LEFT JOIN invoice_documents
        ON invoice_documents.invoice_id = invoices.id
        AND invoice_documents.version = invoices.document_version
    ORDER BY changed.invoice_uuid
    FOR NO KEY UPDATE OF invoices
), found AS (
    SELECT * FROM locked
    UNION ALL
    SELECT changed.change, changed.invoice_uuid, stored.count, decode(stored.head, 'hex'), NULL
    FROM changed LEFT JOIN LATERAL (
        SELECT (was ->> 'history_count')::bigint AS count, was ->> 'history_head' AS head
        FROM invoice_changes AS gone
        WHERE {INVOICES.same_entry("gone", "changed")}
            AND gone.kind = 'invoice' AND gone.became IS NULL
        ORDER BY gone.id DESC
        LIMIT 1
    ) AS stored ON true
    WHERE NOT EXISTS (SELECT FROM locked WHERE locked.invoice_uuid = changed.invoice_uuid)
)
SELECT e.change, e.invoice_uuid AS uuid, 'invoice' AS kind, e.history_count, e.history_head,
       e.data::text AS data, {entry_digest(INVOICES)} AS digest,
       last.sequence AS last_sequence, last.hash AS last_hash, last.is_end AS last_is_end
FROM (SELECT found.*, {_HEADER} FROM found) AS e
LEFT JOIN LATERAL (
    SELECT sequence, hash, data IS NULL AS is_end
    FROM invoice_history
    WHERE invoice_history.invoice_uuid = e.invoice_uuid
    ORDER BY sequence DESC
    LIMIT 1
) AS last ON true
ORDER BY e.invoice_uuid
""")  # noqa: S608 - made of constants


_INSERT_INVOICE_ENTRIES: Final = text(f"""
WITH sealed AS (
    SELECT * FROM unnest(
        CAST(:uuids AS uuid[]), CAST(:data AS text[]), CAST(:sequences AS bigint[]),
        CAST(:previous AS bytea[]), CAST(:hashes AS bytea[]), CAST(:heads AS bytea[])
    ) AS sealed (uuid, data, sequence, previous, hash, head)
), entered AS (
    INSERT INTO invoice_history (
        change, invoice_uuid, sequence, {_HEADER_COLUMNS}, data, previous, hash
    )
    SELECT CAST(:change AS uuid), sealed.uuid, sequence, {_HEADER_VALUES}, data::jsonb,
           previous, hash
    FROM sealed
    ORDER BY sealed.uuid
), updated AS (
    UPDATE invoices SET history_count = sealed.sequence, history_head = sealed.head
    FROM sealed
    WHERE invoices.uuid = sealed.uuid
)
SELECT set_config('invoicing.change', '', true)
WHERE CAST(:is_last AS boolean)
    AND NOT EXISTS (SELECT FROM subject_changes WHERE change = CAST(:change AS uuid))
""")  # noqa: S608 - made of constants


def _changed_subjects(condition: str) -> TextClause:
    """Lock the heads, which outlive their subjects."""
    return text(f"""
WITH changed AS (
    SELECT DISTINCT change, subject_uuid, kind
    FROM subject_changes AS c
    WHERE {_OF_TRANSACTION}
        AND NOT EXISTS (SELECT FROM subject_history AS e WHERE {SUBJECTS.same_entry("e", "c")})
        AND {condition}
    ORDER BY subject_uuid, kind
    LIMIT :limit
), locked AS (
    INSERT INTO subject_heads AS heads (subject_uuid, kind)
    SELECT subject_uuid, kind FROM changed ORDER BY subject_uuid, kind
    ON CONFLICT (subject_uuid, kind) DO UPDATE SET history_count = heads.history_count
    RETURNING subject_uuid, kind, history_count, history_head
)
SELECT e.change, e.subject_uuid AS uuid, e.kind, e.history_count, e.history_head,
       e.data::text AS data, {entry_digest(SUBJECTS)} AS digest,
       last.sequence AS last_sequence, last.hash AS last_hash, last.is_end AS last_is_end
FROM (
    SELECT changed.change, locked.*, subject_as_recorded(locked.kind, locked.subject_uuid) AS data,
           {_HEADER}
    FROM changed JOIN locked ON {SUBJECTS.same_subject("locked", "changed")}
) AS e
LEFT JOIN LATERAL (
    SELECT sequence, hash, data IS NULL AS is_end
    FROM subject_history AS entered
    WHERE {SUBJECTS.same_subject("entered", "e")}
    ORDER BY sequence DESC
    LIMIT 1
) AS last ON true
ORDER BY e.subject_uuid, e.kind
""")  # noqa: S608 - made of constants


_INSERT_SUBJECT_ENTRIES: Final = text(f"""
WITH sealed AS (
    SELECT * FROM unnest(
        CAST(:uuids AS uuid[]), CAST(:kinds AS text[]), CAST(:data AS text[]),
        CAST(:sequences AS bigint[]), CAST(:previous AS bytea[]), CAST(:hashes AS bytea[]),
        CAST(:heads AS bytea[])
    ) AS sealed (subject_uuid, kind, data, sequence, previous, hash, head)
), entered AS (
    INSERT INTO subject_history (
        change, subject_uuid, kind, sequence, {_HEADER_COLUMNS}, data, previous, hash
    )
    SELECT CAST(:change AS uuid), sealed.subject_uuid, sealed.kind, sequence, {_HEADER_VALUES},
           data::jsonb, previous, hash
    FROM sealed
    ORDER BY sealed.subject_uuid, sealed.kind
), updated AS (
    UPDATE subject_heads AS heads
    SET history_count = sealed.sequence, history_head = sealed.head
    FROM sealed
    WHERE {SUBJECTS.same_subject("heads", "sealed")}
)
SELECT set_config('invoicing.change', '', true) WHERE CAST(:is_last AS boolean)
""")  # noqa: S608 - made of constants

SEAL_INVOICES: Final = SealStatements(
    _changed_invoices("true"),
    _changed_invoices("invoice_uuid > CAST(:after AS uuid)"),
    _INSERT_INVOICE_ENTRIES,
)
SEAL_SUBJECTS: Final = SealStatements(
    _changed_subjects("true"),
    _changed_subjects("(subject_uuid, kind) > (CAST(:after AS uuid), CAST(:after_kind AS text))"),
    _INSERT_SUBJECT_ENTRIES,
)

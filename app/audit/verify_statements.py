"""The statements of a verification.

Rows name their subject by `kind` and `uuid`, an invoice that exists also by `number`.
"""

from typing import Final

from sqlalchemy import TextClause, text

from app.audit.digest import entry_digest
from app.audit.models import SUBJECT_TABLES
from app.audit.record_tables import INVOICES, SUBJECTS, RecordTables


def _entries(tables: RecordTables, subject: str, source: str, now: str) -> TextClause:
    """Select the entries of all records, subject by subject, with their digests.

    `subject` has the columns of the subject of the entry `e`, `source` the joins that these need.
    `now` is the subject's present row; null if it does not exist. Columns that were added later are
    not compared: the entry does not have them.
    """
    order = f"{tables.identity('e')}, e.sequence"
    window = f"OVER (PARTITION BY {', '.join(tables.key)} ORDER BY sequence)"
    return text(f"""
SELECT {subject}, e.sequence, e.previous, e.hash, e.data IS NULL AS is_end,
       {entry_digest(tables)} AS digest,
       (
           SELECT array_agg(shown.key ORDER BY shown.key)
           FROM jsonb_each(e.data) AS shown
           WHERE e.before ? shown.key AND e.before -> shown.key <> shown.value AND NOT EXISTS (
               SELECT FROM {tables.changes} AS c
               WHERE {tables.same_entry("c", "e")}
                   AND {tables.of_subject} AND c.became -> shown.key = shown.value
           ) AND NOT EXISTS (
               SELECT
               FROM {tables.entries} AS other
               JOIN {tables.changes} AS c ON {tables.same_entry("c", "other")}
               WHERE {tables.same_subject("other", "e")}
                   AND {tables.of_subject} AND c.became -> shown.key = shown.value
           )
       ) AS unexplained,
       CASE WHEN e.is_last THEN (
           SELECT array_agg(shown.key ORDER BY shown.key)
           FROM (SELECT {now} AS row OFFSET 0) AS now, jsonb_each(e.data) AS shown
           WHERE now.row -> shown.key IS DISTINCT FROM shown.value
       ) END AS differing
FROM (
    SELECT *, lag(data) {window} AS before, lead(id) {window} IS NULL AS is_last
    FROM {tables.entries}
) AS e
{source}
ORDER BY {order}
""")  # noqa: S608 - made of constants


COUNT_ENTRIES: Final = text(
    f"SELECT (SELECT count(*) FROM {INVOICES.entries}) + (SELECT count(*) FROM {SUBJECTS.entries})"  # noqa: S608 - made of constants
)
INVOICE_ENTRIES: Final = _entries(
    INVOICES,
    """'invoice' AS kind, e.invoice_uuid AS uuid, i.number, i.id IS NOT NULL AS is_there,
       i.id IS NOT NULL AS has_head, i.history_count, i.history_head""",
    "LEFT JOIN invoices AS i ON i.uuid = e.invoice_uuid",
    "invoice_as_recorded(i)",
)
SUBJECT_ENTRIES: Final = _entries(
    SUBJECTS,
    """e.kind, e.subject_uuid AS uuid, NULL::integer AS number, present.row IS NOT NULL AS is_there,
       true AS has_head, coalesce(heads.history_count, 0) AS history_count, heads.history_head""",
    f"""LEFT JOIN subject_heads AS heads ON {SUBJECTS.same_subject("heads", "e")}
LEFT JOIN LATERAL (
    SELECT CASE WHEN e.is_last THEN subject_as_recorded(e.kind, e.subject_uuid) END AS row
) AS present ON true""",
    "present.row",
)


def _differing_rows(kind: str, table: str) -> TextClause:
    """Compare the items or payments of invoices with the last recorded change of each."""
    return text(f"""
SELECT 'invoice' AS kind, i.uuid, i.number, count(*) AS count, '{kind}' AS of_kind
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
JOIN (SELECT uuid AS invoice_uuid, id, uuid, number FROM invoices) AS i
    ON i.uuid = coalesce(now.invoice_uuid, latest.invoice_uuid)
WHERE (
    SELECT jsonb_object_agg(shown.key, now.row -> shown.key) FROM jsonb_each(c.became) AS shown
) IS DISTINCT FROM c.became OR (now.row IS NULL) <> (c.became IS NULL)
GROUP BY i.id, i.invoice_uuid, i.uuid, i.number
HAVING {INVOICES.is_complete("i")}
ORDER BY i.uuid
""")  # noqa: S608 - made of constants


def _incomplete(tables: RecordTables, subjects: str) -> TextClause:
    """Select the subjects whose record does not start with the whole row, of some that exist."""
    return text(f"""
SELECT s.kind, s.uuid, s.number,
       EXISTS (SELECT FROM {tables.entries} AS e WHERE {tables.same_subject("e", "s")}) AS has_some
FROM ({subjects}) AS s WHERE NOT {tables.is_complete("s")} ORDER BY s.uuid
""")  # noqa: S608 - made of constants


DIFFERING_ROWS: Final = (
    _differing_rows("item", "invoice_items"),
    _differing_rows("payment", "payments"),
)
UNSEALED_CHANGES: Final = (
    text(f"""
SELECT 'invoice' AS kind, u.invoice_uuid AS uuid, i.number, count(*) AS count
FROM ({INVOICES.unsealed}) AS u LEFT JOIN invoices AS i ON i.uuid = u.invoice_uuid
GROUP BY u.invoice_uuid, i.number ORDER BY u.invoice_uuid
"""),  # noqa: S608 - made of constants
    text(f"""
SELECT u.kind, u.subject_uuid AS uuid, NULL::integer AS number, count(*) AS count
FROM ({SUBJECTS.unsealed}) AS u
GROUP BY u.subject_uuid, u.kind ORDER BY u.kind, u.subject_uuid
"""),  # noqa: S608 - made of constants
)
INCOMPLETE_RECORDS: Final = (
    _incomplete(
        INVOICES, "SELECT 'invoice' AS kind, uuid, uuid AS invoice_uuid, number FROM invoices"
    ),
    *(
        _incomplete(
            SUBJECTS,
            f"SELECT '{kind}' AS kind, uuid, uuid AS subject_uuid, NULL::integer AS number"  # noqa: S608 - made of constants
            f" FROM {table}",
        )
        for kind, table in SUBJECT_TABLES.items()
    ),
)

DOCUMENTS: Final = text(f"""
SELECT 'invoice' AS kind, i.uuid, i.number, d.version, d.is_modified, d.follows
FROM (
    SELECT d.invoice_id, d.version, d.digest,
           d.digest <> sha256(convert_to(d.content::text, 'UTF8') || coalesce((
               SELECT string_agg(
                   sha256(convert_to(l.content::text, 'UTF8')), '' ORDER BY l.first_item_id
               )
               FROM document_lines AS l
               WHERE l.invoice_id = d.invoice_id AND l.version = d.lines_version
           ), '')) AS is_modified,
           d.version = 1 OR EXISTS (
               SELECT FROM invoice_documents AS before
               WHERE before.invoice_id = d.invoice_id AND before.version = d.version - 1
           ) AS follows
    FROM invoice_documents AS d
) AS d
JOIN invoices AS i ON i.id = d.invoice_id
WHERE d.is_modified OR NOT d.follows OR NOT EXISTS (
    SELECT FROM invoice_changes AS c
    JOIN invoice_history AS e ON {INVOICES.same_entry("e", "c")}
    WHERE c.invoice_uuid = i.uuid AND {INVOICES.of_subject}
        AND c.became ->> 'document' = encode(d.digest, 'hex')
)
ORDER BY i.uuid, d.version
""")  # noqa: S608 - made of constants
"""The versions of documents that were modified, do not follow another, or were never sealed."""

CREDIT_NOTES: Final = text("""
SELECT 'credit_note' AS kind, n.uuid, NULL::integer AS number
FROM credit_notes AS n
WHERE n.digest <> sha256(convert_to(n.content::text, 'UTF8') || coalesce((
    SELECT string_agg(sha256(convert_to(l.content::text, 'UTF8')), '' ORDER BY l.batch)
    FROM credit_note_lines AS l
    WHERE l.credit_note_id = n.id
), ''))
ORDER BY n.uuid
""")
"""The credit notes whose document was modified. The record of a credit note has its digest."""

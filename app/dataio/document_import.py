"""Exports and imports the present versions of frozen documents.

An import takes the document of an invoice that was issued and has none here, or whose document it
has replaced. So a restored invoice is shown as it was issued. The document must be that of the
invoice: it has the same number, dates, tax, sums and items. The digests are computed anew, since a
line is stored under the key of its item, which differs from database to database.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import FromClause, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.copying import copy_rows
from app.dataio.import_report import ImportReport, RejectedRecord
from app.dataio.records.documents import (
    DocumentRecord,
    InvoiceDocumentLinesRecord,
    InvoiceDocumentRecord,
)
from app.dataio.records.record import kind_of
from app.invoices.models import UNFROZEN, DocumentLines, Invoice, InvoiceDocument
from app.invoices.repository.document_lines import LINES
from app.invoices.repository.item_sources import is_of_document, is_present_document

PART_BYTES: Final = 1024 * 1024
"""Bytes after which the lines of an exported record end. Details of items may be large, and an
import refuses too long records."""
_BATCH_RECORDS: Final = 1000
_HEADS: Final = "import_invoice_documents"
_LINES: Final = "import_document_lines"

EXPORT_LINES: Final = (
    text("""
SELECT row_to_json(record)::text AS line
FROM (
    SELECT 'invoice_document' AS kind, i.uuid, d.content::text AS content
    FROM invoices AS i
    JOIN invoice_documents AS d ON d.invoice_id = i.id AND d.version = i.document_version
    ORDER BY i.id
) AS record
"""),
    # A part ends with the line that exceeds it, and each quote is escaped in a record.
    text(f"""
SELECT row_to_json(record)::text AS line
FROM (
    SELECT 'invoice_document_lines' AS kind, i.uuid, part.lines
    FROM invoices AS i
    JOIN invoice_documents AS d ON d.invoice_id = i.id AND d.version = i.document_version
    JOIN document_lines AS l ON l.invoice_id = i.id AND l.version = d.lines_version
    CROSS JOIN LATERAL (
        SELECT number, jsonb_agg(value ORDER BY key)::text AS lines
        FROM (
            SELECT key::bigint AS key, value,
                (sum(octet_length(value::text)) OVER (ORDER BY key::bigint)
                    - octet_length(value::text)) / {PART_BYTES} AS number
            FROM jsonb_each(l.content)
        ) AS line
        GROUP BY number
    ) AS part
    ORDER BY i.id, l.first_item_id, part.number
) AS record
"""),  # noqa: S608 - made of constants
)
"""Statements that select the lines of an export."""
_has_document: Final = select(Invoice.id).join(InvoiceDocument, is_present_document)
EXPORTED_ROWS: Final[tuple[FromClause, ...]] = (
    _has_document.subquery("exported_documents"),
    _has_document.join(DocumentLines, is_of_document).subquery("exported_document_lines"),
)
"""The rows of these lines."""


class DocumentImport:
    """Collects the documents of an import, and stores them when all items are written."""

    def __init__(self, connection: AsyncConnection, report: ImportReport) -> None:
        self._connection = connection
        self._report = report
        self._heads: list[tuple[object, ...]] = []
        self._lines: list[tuple[object, ...]] = []
        self._has_tables = False

    async def add(self, record: DocumentRecord, line: int) -> None:
        """Queue a record."""
        if isinstance(record, InvoiceDocumentRecord):
            self._heads.append((record.uuid, record.content, line))
        else:
            self._lines.append((record.uuid, record.lines, line))
        if len(self._heads) + len(self._lines) >= _BATCH_RECORDS:
            await self.flush()

    async def flush(self) -> None:
        """Write the queued records to temporary tables."""
        heads, self._heads = self._heads, []
        lines, self._lines = self._lines, []
        if not heads and not lines:
            return
        if not self._has_tables:
            for statement in _CREATE_TABLES:
                await self._connection.execute(text(statement))
            self._has_tables = True
        await copy_rows(self._connection, _HEADS, heads, ("uuid", "content", "line"))
        await copy_rows(self._connection, _LINES, lines, ("uuid", "content", "line"))

    async def store(self) -> Sequence[RejectedRecord]:
        """Store the documents of the invoices that need one; return the rejected records."""
        await self.flush()
        if not self._has_tables:
            return []
        execute = self._connection.execute
        for statement in _PREPARE:
            await execute(text(statement))
        rejected = [
            RejectedRecord(row.line, row.reason, row.kind, row.uuid)
            for row in await execute(text(_SELECT_REJECTED))
        ]
        for model, statement in _COUNT.items():
            created, unchanged = (await execute(text(statement))).one()
            counts = self._report.counts_for(kind_of(model))
            counts.created += created
            counts.unchanged += unchanged
        for statement in _STORE:
            await execute(text(statement))
        return rejected


_UNFROZEN: Final = f"(SELECT * FROM invoices WHERE {UNFROZEN})"  # noqa: S608 - made of constants
_CREATE_TABLES: Final = tuple(
    f"""
CREATE TEMPORARY TABLE {table} (uuid uuid NOT NULL, content text NOT NULL, line bigint NOT NULL)
ON COMMIT DROP
"""
    for table in (_HEADS, _LINES)
)
_PREPARE: Final = (
    f"ANALYZE {_HEADS}",
    f"ANALYZE {_LINES}",
    f"""
SELECT FROM invoices WHERE {UNFROZEN} AND uuid IN (SELECT uuid FROM {_HEADS})
ORDER BY id FOR NO KEY UPDATE
""",  # noqa: S608 - made of constants
    # The lines, with the keys of the items that they are of; null if there is no such item.
    f"""
CREATE TEMPORARY TABLE import_frozen_items ON COMMIT DROP AS
SELECT i.id AS invoice_id, item.id AS item_id, each.value
FROM {_LINES} AS lines
JOIN {_UNFROZEN} AS i ON i.uuid = lines.uuid
CROSS JOIN LATERAL jsonb_array_elements(lines.content::jsonb) AS each (value)
LEFT JOIN invoice_items AS item
    ON item.uuid = (each.value ->> 'uuid')::uuid
    AND item.invoice_id = i.id
    AND item.price = (each.value ->> 'price')::numeric
    AND item.unit_price = (each.value ->> 'unit_price')::numeric
    AND item.quantity = (each.value ->> 'quantity')::numeric
    AND item.credit = (each.value ->> 'credit')::boolean
""",  # noqa: S608 - made of constants
    "ANALYZE import_frozen_items",
    # The documents that are those of their invoices.
    f"""
CREATE TEMPORARY TABLE import_taken_documents ON COMMIT DROP AS
SELECT DISTINCT ON (i.id) i.id AS invoice_id, i.uuid, head.line,
    head.content::jsonb || jsonb_build_object(
        'payment_url', i.payment_url, 'reference_number', i.reference_number
    ) AS content,
    (
        SELECT coalesce(max(version), 0) + 1 FROM invoice_documents WHERE invoice_id = i.id
    ) AS version
FROM {_HEADS} AS head
JOIN {_UNFROZEN} AS i ON i.uuid = head.uuid
JOIN customers AS c ON c.id = i.customer_id
CROSS JOIN LATERAL (SELECT head.content::jsonb AS content) AS given
CROSS JOIN LATERAL (
    SELECT count(*) AS lines, count(DISTINCT item_id) AS items
    FROM import_frozen_items WHERE invoice_id = i.id
) AS found
WHERE (
    i.uuid, i.number, i.year, i.month, coalesce(i.invoice_date, i.created), i.due_date,
    i.tax_percent, i.total_price, i.total_cost, c.uuid, found.lines, found.items
) IS NOT DISTINCT FROM (
    (given.content ->> 'uuid')::uuid, (given.content ->> 'number')::bigint,
    (given.content ->> 'year')::int, (given.content ->> 'month')::int,
    (given.content ->> 'issue_date')::date, (given.content ->> 'due_date')::date,
    (given.content ->> 'tax_percent')::numeric, (given.content ->> 'net')::numeric,
    (given.content ->> 'gross')::numeric, (given.content #>> '{{api,customer}}')::uuid,
    (SELECT count(*) FROM invoice_items WHERE invoice_id = i.id),
    (SELECT count(*) FROM invoice_items WHERE invoice_id = i.id)
)
ORDER BY i.id, head.line
""",  # noqa: S608 - made of constants
    "ANALYZE import_taken_documents",
)
_SELECT_REJECTED: Final = f"""
SELECT head.line, '{kind_of(InvoiceDocumentRecord)}' AS kind, head.uuid, CASE
    WHEN i.id IS NULL THEN 'there is no invoice ' || head.uuid
    WHEN taken.line IS NOT NULL THEN format('line %s has the same record', taken.line)
    ELSE 'the invoice is not issued, or has another number, date, tax, sum or item'
END AS reason
FROM {_HEADS} AS head
LEFT JOIN invoices AS i ON i.uuid = head.uuid
LEFT JOIN import_taken_documents AS taken ON taken.uuid = head.uuid
WHERE i.document_version IS NULL AND taken.line IS DISTINCT FROM head.line
UNION ALL
SELECT lines.line, '{kind_of(InvoiceDocumentLinesRecord)}', lines.uuid,
    'there is no invoice document of ' || lines.uuid
FROM {_LINES} AS lines
WHERE NOT EXISTS (SELECT FROM {_HEADS} AS head WHERE head.uuid = lines.uuid)
ORDER BY line
"""  # noqa: S608 - made of constants
_COUNT: Final = {
    model: f"""
SELECT count(*) FILTER (WHERE {created}), count(*) FILTER (WHERE i.document_version IS NOT NULL)
FROM {table} AS given
JOIN invoices AS i ON i.uuid = given.uuid
LEFT JOIN import_taken_documents AS taken ON taken.uuid = given.uuid
"""  # noqa: S608 - made of constants
    for model, table, created in (
        (InvoiceDocumentRecord, _HEADS, "taken.line = given.line"),
        (InvoiceDocumentLinesRecord, _LINES, "taken.line IS NOT NULL"),
    )
}
_STORE: Final = (
    f"""
INSERT INTO document_lines (invoice_id, version, first_item_id, content, digest)
SELECT invoice_id, version, first_item_id, content, sha256(convert_to(content::text, 'UTF8'))
FROM (
    SELECT invoice_id, version, min(item_id) AS first_item_id,
        jsonb_object_agg(item_id::text, value) AS content
    FROM (
        SELECT taken.invoice_id, taken.version, item.item_id, item.value,
            (row_number() OVER (PARTITION BY taken.invoice_id ORDER BY item.item_id) - 1)
                / {LINES} AS batch
        FROM import_taken_documents AS taken
        JOIN import_frozen_items AS item ON item.invoice_id = taken.invoice_id
    ) AS item
    GROUP BY invoice_id, version, batch
) AS batches
""",  # noqa: S608 - made of constants
    """
INSERT INTO invoice_documents (invoice_id, version, lines_version, content, digest)
SELECT invoice_id, version, version, content, sha256(
    convert_to(content::text, 'UTF8') || coalesce((
        SELECT string_agg(lines.digest, '' ORDER BY lines.first_item_id)
        FROM document_lines AS lines
        WHERE lines.invoice_id = taken.invoice_id AND lines.version = taken.version
    ), '')
)
FROM import_taken_documents AS taken
""",
    """
UPDATE invoices SET document_version = taken.version
FROM import_taken_documents AS taken
WHERE invoices.id = taken.invoice_id
""",
)

"""complete documents

A further version of a frozen document fills in values that were empty.
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

revision: str = "0034"
down_revision: str | None = "0033"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

AFTER: Final = (
    """
CREATE FUNCTION add_document_version(invoice bigint, present integer, head jsonb) RETURNS integer
LANGUAGE sql AS $$
    INSERT INTO invoice_documents (invoice_id, version, lines_version, content, digest)
    SELECT invoice_id, version + 1, lines_version, head, sha256(
        convert_to(head::text, 'UTF8') || (
            SELECT coalesce(string_agg(lines.digest, '' ORDER BY lines.first_item_id), '')
            FROM document_lines AS lines
            WHERE lines.invoice_id = document.invoice_id
                AND lines.version = document.lines_version
        )
    )
    FROM invoice_documents AS document
    WHERE invoice_id = invoice AND version = present
    RETURNING version
$$
""",
    """
CREATE FUNCTION only_fills(earlier jsonb, filled jsonb) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF jsonb_typeof(earlier) = 'object' AND jsonb_typeof(filled) = 'object' THEN
        RETURN NOT EXISTS (
            SELECT FROM jsonb_each(earlier) AS was
            FULL JOIN jsonb_each(filled) AS became USING (key)
            WHERE NOT only_fills(was.value, became.value)
        );
    END IF;
    RETURN coalesce(
        earlier = filled
        OR coalesce(btrim(earlier #>> '{}'), '') = '' AND jsonb_typeof(filled) = 'string',
        false
    );
END
$$
""",
    """
CREATE FUNCTION completes_document(invoice bigint, present integer, next integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM invoice_documents AS was
        JOIN invoice_documents AS became USING (invoice_id, lines_version)
        CROSS JOIN (
            SELECT ARRAY['seller', 'buyer', 'api', 'tax_category', 'tax_exemption_code',
                         'tax_exemption_reason', 'buyer_reference', 'order_reference',
                         'agreement_number'] AS filled
        ) AS keys
        WHERE invoice_id = invoice AND was.version = present AND became.version = next
            AND next = present + 1
            AND was.content - keys.filled = became.content - keys.filled
            AND only_fills(
                was.content #- '{api,issuer_details}', became.content #- '{api,issuer_details}'
            )
            AND only_fills(
                (was.content #>> '{api,issuer_details}')::jsonb,
                (became.content #>> '{api,issuer_details}')::jsonb
            )
    )
$$
""",
    """
CREATE OR REPLACE FUNCTION follow_payment_details() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.document_version := (
        SELECT add_document_version(invoice_id, version, content || jsonb_build_object(
            'payment_url', NEW.payment_url, 'reference_number', NEW.reference_number
        ))
        FROM invoice_documents
        WHERE invoice_id = NEW.id AND version = NEW.document_version
    );
    RETURN NEW;
END
$$
""",
    """
CREATE OR REPLACE TRIGGER document_1_hold BEFORE UPDATE ON invoices
    FOR EACH ROW
    WHEN (OLD.document_version IS NOT NULL AND (
        NEW.document_version IS DISTINCT FROM OLD.document_version
            AND NOT completes_document(OLD.id, OLD.document_version, NEW.document_version)
        OR NEW.state IN ('pending', 'pending_finalization')
        OR NEW.uuid IS DISTINCT FROM OLD.uuid
        OR NEW.customer_id IS DISTINCT FROM OLD.customer_id
        OR NEW.number IS DISTINCT FROM OLD.number
        OR NEW.year IS DISTINCT FROM OLD.year
        OR NEW.month IS DISTINCT FROM OLD.month
        OR NEW.tax_percent IS DISTINCT FROM OLD.tax_percent
        OR NEW.created IS DISTINCT FROM OLD.created
        OR NEW.invoice_date IS DISTINCT FROM OLD.invoice_date
        OR NEW.due_date IS DISTINCT FROM OLD.due_date))
    EXECUTE FUNCTION hold_frozen_invoice()
""",
)

BEFORE: Final = (
    """
CREATE OR REPLACE FUNCTION follow_payment_details() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO invoice_documents (invoice_id, version, lines_version, content, digest)
    SELECT invoice_id, version + 1, lines_version, changed.content, sha256(
        convert_to(changed.content::text, 'UTF8') || (
            SELECT coalesce(string_agg(lines.digest, '' ORDER BY lines.first_item_id), '')
            FROM document_lines AS lines
            WHERE lines.invoice_id = document.invoice_id
                AND lines.version = document.lines_version
        )
    )
    FROM invoice_documents AS document, LATERAL (
        SELECT document.content || jsonb_build_object(
            'payment_url', NEW.payment_url, 'reference_number', NEW.reference_number
        ) AS content
    ) AS changed
    WHERE document.invoice_id = NEW.id AND document.version = NEW.document_version;
    NEW.document_version := NEW.document_version + 1;
    RETURN NEW;
END
$$
""",
    """
CREATE OR REPLACE TRIGGER document_1_hold BEFORE UPDATE ON invoices
    FOR EACH ROW
    WHEN (OLD.document_version IS NOT NULL AND (
        NEW.document_version IS DISTINCT FROM OLD.document_version
        OR NEW.state IN ('pending', 'pending_finalization')
        OR NEW.uuid IS DISTINCT FROM OLD.uuid
        OR NEW.customer_id IS DISTINCT FROM OLD.customer_id
        OR NEW.number IS DISTINCT FROM OLD.number
        OR NEW.year IS DISTINCT FROM OLD.year
        OR NEW.month IS DISTINCT FROM OLD.month
        OR NEW.tax_percent IS DISTINCT FROM OLD.tax_percent
        OR NEW.created IS DISTINCT FROM OLD.created
        OR NEW.invoice_date IS DISTINCT FROM OLD.invoice_date
        OR NEW.due_date IS DISTINCT FROM OLD.due_date))
    EXECUTE FUNCTION hold_frozen_invoice()
""",
)


def upgrade() -> None:
    for statement in AFTER:
        op.execute(statement)


def downgrade() -> None:
    for statement in BEFORE:
        op.execute(statement)
    op.execute("DROP FUNCTION completes_document(bigint, integer, integer)")
    op.execute("DROP FUNCTION only_fills(jsonb, jsonb)")
    op.execute("DROP FUNCTION add_document_version(bigint, integer, jsonb)")

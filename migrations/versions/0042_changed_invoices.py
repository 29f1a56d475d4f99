"""changed invoices

A statement that updates many invoices records their changes at once.
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

revision: str = "0042"
down_revision: str | None = "0041"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

AFTER: Final = (
    """
CREATE FUNCTION recorded_invoice(given invoices, customer uuid, document bytea) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'uuid', given."uuid", 'number', given."number", 'year', given."year",
        'month', given."month", 'state', given."state", 'tax_percent', given."tax_percent",
        'created', given."created", 'invoice_date', given."invoice_date",
        'due_date', given."due_date", 'backend_id', given."backend_id",
        'payment_url', given."payment_url", 'reference_number', given."reference_number",
        'cancel_reason', given."cancel_reason", 'source', given."source",
        'total_price', given."total_price", 'incurred_costs', given."incurred_costs",
        'compensations', given."compensations", 'customer', customer,
        'document', encode(document, 'hex'), 'credited', nullif(given."credited", 0)
    )
$$
""",
    """
CREATE OR REPLACE FUNCTION invoice_as_recorded(given invoices) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT recorded_invoice(
        given,
        (SELECT uuid FROM customers WHERE id = given.customer_id),
        (
            SELECT digest FROM invoice_documents
            WHERE invoice_id = given.id AND version = given.document_version
        )
    )
$$
""",
    """
CREATE FUNCTION record_changed_invoices() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was, became)
    SELECT (SELECT current_change()), uuid, 'invoice', uuid,
           CASE WHEN o_id IS NULL OR n_id IS NULL THEN before ELSE fields.was END,
           CASE WHEN o_id IS NULL OR n_id IS NULL THEN after ELSE fields.became END
    FROM (
        SELECT coalesce(n.uuid, o.uuid) AS uuid, o.id AS o_id, n.id AS n_id,
               CASE WHEN o.id IS NOT NULL
                    THEN recorded_invoice(o::invoices, was_of.uuid, was_shown.digest) END AS before,
               CASE WHEN n.id IS NOT NULL
                    THEN recorded_invoice(n::invoices, is_of.uuid, is_shown.digest) END AS after
        FROM old_invoices AS o FULL JOIN new_invoices AS n ON n.id = o.id
        LEFT JOIN customers AS was_of ON was_of.id = o.customer_id
        LEFT JOIN customers AS is_of ON is_of.id = n.customer_id
        LEFT JOIN invoice_documents AS was_shown
            ON was_shown.invoice_id = o.id AND was_shown.version = o.document_version
        LEFT JOIN invoice_documents AS is_shown
            ON is_shown.invoice_id = n.id AND is_shown.version = n.document_version
        WHERE (o.uuid, o.number, o.year, o.month, o.state, o.tax_percent, o.created,
               o.invoice_date, o.due_date, o.backend_id, o.payment_url, o.reference_number,
               o.cancel_reason, o.source, o.total_price, o.incurred_costs, o.compensations,
               o.customer_id, o.document_version, o.credited)
            IS DISTINCT FROM
              (n.uuid, n.number, n.year, n.month, n.state, n.tax_percent, n.created,
               n.invoice_date, n.due_date, n.backend_id, n.payment_url, n.reference_number,
               n.cancel_reason, n.source, n.total_price, n.incurred_costs, n.compensations,
               n.customer_id, n.document_version, n.credited)
        OFFSET 0
    ) AS changed
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(key, value) AS was, jsonb_object_agg(key, after -> key) AS became
        FROM jsonb_each(before)
        WHERE value <> after -> key
    ) AS fields
    WHERE o_id IS NULL OR n_id IS NULL OR fields.was IS NOT NULL;
    RETURN NULL;
END
$$
""",
    "DROP TRIGGER record_changed ON invoices",
    """
CREATE TRIGGER record_changed AFTER UPDATE ON invoices
    REFERENCING OLD TABLE AS old_invoices NEW TABLE AS new_invoices
    FOR EACH STATEMENT EXECUTE FUNCTION record_changed_invoices()
""",
    "DROP FUNCTION record_changed_invoice",
)

BEFORE: Final = (
    """
CREATE OR REPLACE FUNCTION invoice_as_recorded(given invoices) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'uuid', given."uuid", 'number', given."number", 'year', given."year",
        'month', given."month", 'state', given."state", 'tax_percent', given."tax_percent",
        'created', given."created", 'invoice_date', given."invoice_date",
        'due_date', given."due_date", 'backend_id', given."backend_id",
        'payment_url', given."payment_url", 'reference_number', given."reference_number",
        'cancel_reason', given."cancel_reason", 'source', given."source",
        'total_price', given."total_price", 'incurred_costs', given."incurred_costs",
        'compensations', given."compensations",
        'customer', (SELECT uuid FROM customers WHERE id = given.customer_id),
        'document', (
            SELECT encode(digest, 'hex') FROM invoice_documents
            WHERE invoice_id = given.id AND version = given.document_version
        ),
        'credited', nullif(given."credited", 0)
    )
$$
""",
    """
CREATE FUNCTION record_changed_invoice() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
DECLARE
    before jsonb := invoice_as_recorded(OLD);
    after jsonb := invoice_as_recorded(NEW);
BEGIN
    IF before <> after THEN
        INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was, became)
        SELECT current_change(), NEW.uuid, 'invoice', NEW.uuid,
               jsonb_object_agg(key, value), jsonb_object_agg(key, after -> key)
        FROM jsonb_each(before)
        WHERE value <> after -> key;
    END IF;
    RETURN NULL;
END
$$
""",
    "DROP TRIGGER record_changed ON invoices",
    """
CREATE TRIGGER record_changed AFTER UPDATE OF
    uuid, number, year, month, state, tax_percent, created, invoice_date, due_date, backend_id,
    payment_url, reference_number, cancel_reason, source, total_price, incurred_costs,
    compensations, customer_id, document_version, credited
    ON invoices
    FOR EACH ROW EXECUTE FUNCTION record_changed_invoice()
""",
    "DROP FUNCTION record_changed_invoices",
    "DROP FUNCTION recorded_invoice",
)


def upgrade() -> None:
    for statement in AFTER:
        op.execute(statement)


def downgrade() -> None:
    for statement in BEFORE:
        op.execute(statement)

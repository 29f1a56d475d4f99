"""frozen documents

An issued invoice has a frozen document, which the record of changes seals by its digest. The items of
such an invoice do not change.
"""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0027"
down_revision: str | None = "0026"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

CREATED: Final = (
    """
CREATE FUNCTION replaces_documents() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(current_setting('invoicing.replaces_documents', true), '') = 'on'
$$
""",
    """
CREATE FUNCTION hold_frozen_items() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed bigint[];
    frozen bigint[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        changed := ARRAY(SELECT DISTINCT invoice_id FROM new_items);
    ELSIF TG_OP = 'DELETE' THEN
        changed := ARRAY(SELECT DISTINCT invoice_id FROM old_items);
    ELSE
        changed := ARRAY(
            SELECT DISTINCT unnest(ARRAY[n.invoice_id, o.invoice_id])
            FROM new_items AS n JOIN old_items AS o USING (id)
            WHERE (n.invoice_id, n.uuid, n.name, n.unit_price, n.quantity, n.unit, n.measured_unit,
                   n.article_code, n.start, n."end", n.project_id, n.project_name, n.project_uuid,
                   n.resource_id, n.offering_id, n.plan_component_id, n.details, n.backend_uuid,
                   n.credit, n.price)
                IS DISTINCT FROM
                  (o.invoice_id, o.uuid, o.name, o.unit_price, o.quantity, o.unit, o.measured_unit,
                   o.article_code, o.start, o."end", o.project_id, o.project_name, o.project_uuid,
                   o.resource_id, o.offering_id, o.plan_component_id, o.details, o.backend_uuid,
                   o.credit, o.price)
        );
    END IF;
    IF changed = '{}' THEN
        RETURN NULL;
    END IF;
    PERFORM FROM invoices WHERE id = ANY (changed) ORDER BY id FOR NO KEY UPDATE;
    frozen := ARRAY(
        SELECT id FROM invoices WHERE id = ANY (changed) AND document_version IS NOT NULL
    );
    IF frozen = '{}' THEN
        RETURN NULL;
    END IF;
    IF NOT replaces_documents() THEN
        RAISE EXCEPTION 'the items of an issued invoice do not change'
            USING ERRCODE = 'restrict_violation', TABLE = 'invoice_items',
                  CONSTRAINT = 'frozen_items';
    END IF;
    UPDATE invoices SET document_version = NULL WHERE id = ANY (frozen);
    RETURN NULL;
END
$$
""",
    """
CREATE FUNCTION hold_frozen_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT replaces_documents() THEN
        RAISE EXCEPTION 'an issued invoice does not change'
            USING ERRCODE = 'restrict_violation', TABLE = 'invoices',
                  CONSTRAINT = 'frozen_invoice';
    END IF;
    NEW.document_version := NULL;
    RETURN NEW;
END
$$
""",
    """
CREATE FUNCTION follow_payment_details() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER hold_frozen_on_delete AFTER DELETE ON invoice_items
    REFERENCING OLD TABLE AS old_items
    FOR EACH STATEMENT EXECUTE FUNCTION hold_frozen_items()
""",
    """
CREATE TRIGGER hold_frozen_on_insert AFTER INSERT ON invoice_items
    REFERENCING NEW TABLE AS new_items
    FOR EACH STATEMENT EXECUTE FUNCTION hold_frozen_items()
""",
    """
CREATE TRIGGER hold_frozen_on_update AFTER UPDATE ON invoice_items
    REFERENCING OLD TABLE AS old_items NEW TABLE AS new_items
    FOR EACH STATEMENT EXECUTE FUNCTION hold_frozen_items()
""",
    """
CREATE TRIGGER document_1_hold BEFORE UPDATE ON invoices
    FOR EACH ROW
    WHEN (OLD.document_version IS NOT NULL AND (
        NEW.document_version IS NULL
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
    """
CREATE TRIGGER document_2_follow BEFORE UPDATE ON invoices
    FOR EACH ROW
    WHEN (NEW.document_version IS NOT NULL AND OLD.document_version IS NOT NULL AND (
        NEW.payment_url IS DISTINCT FROM OLD.payment_url
        OR NEW.reference_number IS DISTINCT FROM OLD.reference_number))
    EXECUTE FUNCTION follow_payment_details()
""",
    """
CREATE TRIGGER only_add BEFORE UPDATE OR DELETE OR TRUNCATE ON invoice_documents
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_history()
""",
    """
CREATE TRIGGER only_add BEFORE UPDATE OR DELETE OR TRUNCATE ON document_lines
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_history()
""",
)
AFTER: Final = (
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
        )
    )
$$
""",
    """
CREATE OR REPLACE FUNCTION revise_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    noted invoices := OLD;
BEGIN
    noted.imported_revision := NEW.imported_revision;
    noted.history_count := NEW.history_count;
    noted.history_head := NEW.history_head;
    noted.document_version := NEW.document_version;
    noted.total_cost := NEW.total_cost;  -- it follows from other columns
    IF (NEW.imported_revision, NEW.history_count, NEW.history_head, NEW.document_version)
       IS NOT DISTINCT FROM (
           OLD.imported_revision, OLD.history_count, OLD.history_head, OLD.document_version
       )
       OR NEW IS DISTINCT FROM noted THEN
        NEW.revision := OLD.revision + 1;
    END IF;
    RETURN NEW;
END
$$
""",
    """
CREATE OR REPLACE TRIGGER record_changed AFTER UPDATE OF
    uuid, number, year, month, state, tax_percent, created, invoice_date, due_date, backend_id,
    payment_url, reference_number, cancel_reason, source, total_price, incurred_costs,
    compensations, customer_id, document_version
    ON invoices
    FOR EACH ROW EXECUTE FUNCTION record_changed_invoice()
""",
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
        'customer', (SELECT uuid FROM customers WHERE id = given.customer_id)
    )
$$
""",
    """
CREATE OR REPLACE FUNCTION revise_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    noted invoices := OLD;
BEGIN
    noted.imported_revision := NEW.imported_revision;
    noted.history_count := NEW.history_count;
    noted.history_head := NEW.history_head;
    noted.total_cost := NEW.total_cost;  -- it follows from other columns
    IF (NEW.imported_revision, NEW.history_count, NEW.history_head)
       IS NOT DISTINCT FROM (OLD.imported_revision, OLD.history_count, OLD.history_head)
       OR NEW IS DISTINCT FROM noted THEN
        NEW.revision := OLD.revision + 1;
    END IF;
    RETURN NEW;
END
$$
""",
    """
CREATE OR REPLACE TRIGGER record_changed AFTER UPDATE OF
    uuid, number, year, month, state, tax_percent, created, invoice_date, due_date, backend_id,
    payment_url, reference_number, cancel_reason, source, total_price, incurred_costs,
    compensations, customer_id
    ON invoices
    FOR EACH ROW EXECUTE FUNCTION record_changed_invoice()
""",
)
TRIGGERS: Final = (
    ("document_1_hold", "invoices"),
    ("document_2_follow", "invoices"),
    ("hold_frozen_on_delete", "invoice_items"),
    ("hold_frozen_on_insert", "invoice_items"),
    ("hold_frozen_on_update", "invoice_items"),
)
FUNCTIONS: Final = (
    "follow_payment_details()",
    "hold_frozen_invoice()",
    "hold_frozen_items()",
    "replaces_documents()",
)


def upgrade() -> None:
    op.add_column("invoices", sa.Column("document_version", sa.Integer(), nullable=True))
    op.create_table(
        "invoice_documents",
        sa.Column("invoice_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("lines_version", sa.Integer(), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("invoice_id", "version", name=op.f("pk_invoice_documents")),
    )
    op.create_table(
        "document_lines",
        sa.Column("invoice_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_item_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "invoice_id", "version", "first_item_id", name=op.f("pk_document_lines")
        ),
    )
    for statement in (*CREATED, *AFTER):
        op.execute(statement)


def downgrade() -> None:
    for statement in BEFORE:
        op.execute(statement)
    for name, table in TRIGGERS:
        op.execute(f"DROP TRIGGER {name} ON {table}")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.drop_table("document_lines")
    op.drop_table("invoice_documents")
    op.drop_column("invoices", "document_version")

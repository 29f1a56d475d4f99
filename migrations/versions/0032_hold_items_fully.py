"""hold items fully

Items of issued invoices are not truncated and keep their keys, and no update names another document
of an issued invoice.
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

revision: str = "0032"
down_revision: str | None = "0031"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

AFTER: Final = (
    """
CREATE OR REPLACE FUNCTION hold_frozen_items() RETURNS trigger LANGUAGE plpgsql AS $$
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
            FROM new_items AS n FULL JOIN old_items AS o USING (id)
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
CREATE FUNCTION refuse_to_truncate_frozen_items() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM invoices WHERE document_version IS NOT NULL) THEN
        RAISE EXCEPTION 'the items of an issued invoice do not change'
            USING ERRCODE = 'restrict_violation', TABLE = 'invoice_items',
                  CONSTRAINT = 'frozen_items';
    END IF;
    RETURN NULL;
END
$$
""",
    """
CREATE TRIGGER hold_frozen_on_truncate BEFORE TRUNCATE ON invoice_items
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_truncate_frozen_items()
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
BEFORE: Final = (
    """
CREATE OR REPLACE FUNCTION hold_frozen_items() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE OR REPLACE TRIGGER document_1_hold BEFORE UPDATE ON invoices
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
)


def upgrade() -> None:
    for statement in AFTER:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER hold_frozen_on_truncate ON invoice_items")
    op.execute("DROP FUNCTION refuse_to_truncate_frozen_items()")
    for statement in BEFORE:
        op.execute(statement)

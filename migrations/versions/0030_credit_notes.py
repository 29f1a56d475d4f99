"""credit notes

A credit note gives back all or a part of an issued invoice, which does not change.
"""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0030"
down_revision: str | None = "0029"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KINDS: Final = (
    "kind IN ('customer_credit', 'project_credit', 'customer_affiliate', 'payment_profile',"
    " 'payment', 'credit_note')"
)
KINDS_BEFORE: Final = KINDS.replace(", 'credit_note'", "")
CREATED: Final = (
    """
CREATE FUNCTION add_credit_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE invoices SET credited = credited + NEW.gross WHERE id = NEW.invoice_id;
    RETURN NULL;
END
$$
""",
    """
CREATE FUNCTION credit_note_as_recorded(given credit_notes) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'uuid', given."uuid", 'number', given."number", 'issue_date', given."issue_date",
        'reason', given."reason", 'net', given."net", 'gross', given."gross",
        'digest', encode(given."digest", 'hex'),
        'invoice', (SELECT uuid FROM invoices WHERE id = given.invoice_id)
    )
$$
""",
    """
CREATE FUNCTION record_credit_note() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    PERFORM record_subject('credit_note',
        CASE WHEN TG_OP <> 'INSERT' THEN credit_note_as_recorded(OLD) END,
        CASE WHEN TG_OP <> 'DELETE' THEN credit_note_as_recorded(NEW) END);
    RETURN NULL;
END
$$
""",
    """
CREATE TRIGGER add_up AFTER INSERT ON credit_notes
    FOR EACH ROW EXECUTE FUNCTION add_credit_note()
""",
    """
CREATE TRIGGER record_subject AFTER INSERT OR UPDATE OR DELETE ON credit_notes
    FOR EACH ROW EXECUTE FUNCTION record_credit_note()
""",
    """
CREATE TRIGGER only_add BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_notes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_history()
""",
    """
CREATE TRIGGER only_add BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_note_lines
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
        ),
        'credited', nullif(given."credited", 0)
    )
$$
""",
    """
CREATE OR REPLACE FUNCTION subject_as_recorded(kind text, subject uuid) RETURNS jsonb LANGUAGE sql STABLE
SET timezone = 'UTC' AS $$
    SELECT CASE $1
        WHEN 'customer_credit' THEN (
            SELECT customer_credit_as_recorded(r) FROM customer_credits AS r WHERE r.uuid = $2)
        WHEN 'project_credit' THEN (
            SELECT project_credit_as_recorded(r) FROM project_credits AS r WHERE r.uuid = $2)
        WHEN 'customer_affiliate' THEN (
            SELECT customer_affiliate_as_recorded(r) FROM customer_affiliates AS r
            WHERE r.uuid = $2)
        WHEN 'payment_profile' THEN (
            SELECT payment_profile_as_recorded(r) FROM payment_profiles AS r WHERE r.uuid = $2)
        WHEN 'payment' THEN (
            SELECT linked_payment_as_recorded(r) FROM payments AS r WHERE r.uuid = $2)
        WHEN 'credit_note' THEN (
            SELECT credit_note_as_recorded(r) FROM credit_notes AS r WHERE r.uuid = $2)
    END
$$
""",
    """
CREATE OR REPLACE TRIGGER record_changed AFTER UPDATE OF
    uuid, number, year, month, state, tax_percent, created, invoice_date, due_date, backend_id,
    payment_url, reference_number, cancel_reason, source, total_price, incurred_costs,
    compensations, customer_id, document_version, credited
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
        'customer', (SELECT uuid FROM customers WHERE id = given.customer_id),
        'document', (
            SELECT encode(digest, 'hex') FROM invoice_documents
            WHERE invoice_id = given.id AND version = given.document_version
        )
    )
$$
""",
    """
CREATE OR REPLACE FUNCTION subject_as_recorded(kind text, subject uuid) RETURNS jsonb LANGUAGE sql STABLE
SET timezone = 'UTC' AS $$
    SELECT CASE $1
        WHEN 'customer_credit' THEN (
            SELECT customer_credit_as_recorded(r) FROM customer_credits AS r WHERE r.uuid = $2)
        WHEN 'project_credit' THEN (
            SELECT project_credit_as_recorded(r) FROM project_credits AS r WHERE r.uuid = $2)
        WHEN 'customer_affiliate' THEN (
            SELECT customer_affiliate_as_recorded(r) FROM customer_affiliates AS r
            WHERE r.uuid = $2)
        WHEN 'payment_profile' THEN (
            SELECT payment_profile_as_recorded(r) FROM payment_profiles AS r WHERE r.uuid = $2)
        WHEN 'payment' THEN (
            SELECT linked_payment_as_recorded(r) FROM payments AS r WHERE r.uuid = $2)
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


def allow(kinds: str) -> None:
    """Set the known kinds. Valid rows stay valid, so the tables are not scanned."""
    for table in ("subject_changes", "subject_history", "subject_heads"):
        name = f"ck_{table}_kind_is_known"
        op.execute(
            f"ALTER TABLE {table} DROP CONSTRAINT {name},"
            f" ADD CONSTRAINT {name} CHECK ({kinds}) NOT VALID"
        )


def upgrade() -> None:
    op.add_column(
        "invoices", sa.Column("credited", sa.Numeric(), server_default="0", nullable=False)
    )
    op.create_table(
        "credit_notes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("invoice_id", sa.BigInteger(), nullable=False),
        sa.Column("issue_date", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("net", sa.Numeric(), nullable=False),
        sa.Column("gross", sa.Numeric(), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f("ck_credit_notes_number_is_counted_from_one")),
        sa.CheckConstraint("btrim(reason) <> ''", name=op.f("ck_credit_notes_reason_is_given")),
        sa.CheckConstraint(
            "\"issue_date\" BETWEEN '0001-01-01' AND '9999-12-31'",
            name=op.f("ck_credit_notes_dates_are_in_range"),
        ),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoices.id"], name=op.f("fk_credit_notes_invoice_id_invoices")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_notes")),
        sa.UniqueConstraint("number", name=op.f("uq_credit_notes_number")),
        sa.UniqueConstraint("uuid", name=op.f("uq_credit_notes_uuid")),
    )
    op.create_index(op.f("ix_credit_notes_invoice_id"), "credit_notes", ["invoice_id"])
    op.create_table(
        "credit_note_lines",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("credit_note_id", sa.BigInteger(), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["credit_note_id"],
            ["credit_notes.id"],
            name=op.f("fk_credit_note_lines_credit_note_id_credit_notes"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_note_lines")),
        sa.UniqueConstraint(
            "credit_note_id", "batch", name=op.f("uq_credit_note_lines_credit_note_id_batch")
        ),
        sa.UniqueConstraint("uuid", name=op.f("uq_credit_note_lines_uuid")),
    )
    allow(KINDS)
    for statement in (*CREATED, *AFTER):
        op.execute(statement)


def downgrade() -> None:
    for statement in BEFORE:
        op.execute(statement)
    op.drop_table("credit_note_lines")
    op.execute("DROP FUNCTION credit_note_as_recorded(credit_notes)")
    op.drop_table("credit_notes")
    for function in ("record_credit_note()", "add_credit_note()"):
        op.execute(f"DROP FUNCTION {function}")
    op.drop_column("invoices", "credited")
    allow(KINDS_BEFORE)

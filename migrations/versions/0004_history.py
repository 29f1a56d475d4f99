"""history

Every change of an invoice, its items and its payments leaves rows in invoice_changes, whatever its
source; invoice_history seals them, transaction by transaction. Both are append-only.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

RECORDED = {
    "invoices": (
        "uuid", "number", "year", "month", "state", "tax_percent", "created", "invoice_date",
        "due_date", "backend_id", "payment_url", "reference_number", "cancel_reason", "source",
        "total_price", "incurred_costs", "compensations",
    ),
    "invoice_items": (
        "uuid", "name", "unit_price", "quantity", "unit", "measured_unit", "article_code", "start",
        "end", "project_name", "project_uuid", "details", "backend_uuid", "credit", "price",
    ),
    "payments": (
        "uuid", "date_of_payment", "sum", "proof_key", "proof_name", "proof_media_type",
        "proof_size", "proof_sha256", "created_at",
    ),
}  # fmt: skip
"""The columns that are recorded unchanged; others are derived, or belong to the record itself."""
REFERENCES = {
    "invoices": {"customer": "customers"},
    "invoice_items": {
        "project": "projects",
        "resource": "resources",
        "offering": "offerings",
        "plan_component": "plan_components",
        "customer_credit": "customer_credits",
    },
    "payments": {"profile": "payment_profiles"},
}
"""References by key, which are recorded by UUID, since keys mean nothing elsewhere."""
SINGULAR = {"invoices": "invoice", "invoice_items": "item", "payments": "payment"}
"""The name of a row of a table in `kind`, and in the names of functions."""


def as_recorded(table: str, row: str) -> str:
    """Return the expression that builds the recorded values of a row.

    References are looked up one by one, by index, whatever the table statistics.
    """
    columns = [f"'{name}', {row}.\"{name}\"" for name in RECORDED[table]]
    columns += [
        f"'{name}', (SELECT uuid FROM {target} WHERE id = {row}.{name}_id)"
        for name, target in REFERENCES[table].items()
    ]
    return f"jsonb_build_object({', '.join(columns)})"


def as_recorded_function(table: str) -> str:
    return f"""
CREATE FUNCTION {SINGULAR[table]}_as_recorded(given {table}) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT {as_recorded(table, "given")}
$$
"""


# The same within a transaction, and unknown to any other. Sealing resets it.
CURRENT_CHANGE = """
CREATE FUNCTION current_change() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    known text := current_setting('invoicing.change', true);
BEGIN
    IF coalesce(known, '') = '' THEN
        known := gen_random_uuid()::text;
        PERFORM set_config('invoicing.change', known, true);
    END IF;
    RETURN known::uuid;
END
$$
"""


def record_new(table: str) -> str:
    """Return the function that records inserted rows, all in one statement."""
    invoice = (
        "n.uuid" if table == "invoices" else "(SELECT uuid FROM invoices WHERE id = n.invoice_id)"
    )
    belonging = "" if table == "invoices" else "WHERE n.invoice_id IS NOT NULL"
    return f"""
CREATE FUNCTION record_new_{table}() RETURNS trigger LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    this uuid := current_change();
BEGIN
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)
    SELECT this, {invoice}, '{SINGULAR[table]}', n.uuid, {as_recorded(table, "n")}
    FROM new_rows AS n {belonging};
    RETURN NULL;
END
$$
"""


RECORD_CHANGED_INVOICE = """
CREATE FUNCTION record_changed_invoice() RETURNS trigger LANGUAGE plpgsql SET timezone = 'UTC' AS $$
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
"""

# It runs before the delete, since afterwards the items could not name the invoice. The last change
# also keeps the count and head of the record, which exist nowhere else then.
RECORD_GONE_INVOICE = f"""
CREATE FUNCTION record_gone_invoice() RETURNS trigger LANGUAGE plpgsql SET timezone = 'UTC' AS $$
BEGIN
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was)
    SELECT current_change(), OLD.uuid, 'item', n.uuid, {as_recorded("invoice_items", "n")}
    FROM invoice_items AS n WHERE n.invoice_id = OLD.id ORDER BY n.id;
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was)
    VALUES (current_change(), OLD.uuid, 'invoice', OLD.uuid,
            invoice_as_recorded(OLD) || jsonb_build_object(
                'history_count', OLD.history_count,
                'history_head', encode(OLD.history_head, 'hex')));
    RETURN OLD;
END
$$
"""


def record_changed(table: str) -> str:
    """Return the function that records updates and deletes of items or payments.

    A row that moves is recorded as removed from one invoice and added to the other.
    """
    singular = SINGULAR[table]
    return f"""
CREATE FUNCTION record_changed_{singular}() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
DECLARE
    before jsonb := {singular}_as_recorded(OLD);
    after jsonb;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        after := {singular}_as_recorded(NEW);
        IF OLD.invoice_id = NEW.invoice_id THEN
            IF before <> after THEN
                INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was, became)
                SELECT current_change(), uuid, '{singular}', NEW.uuid, before, after
                FROM invoices WHERE id = NEW.invoice_id;
            END IF;
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, was)
    SELECT current_change(), uuid, '{singular}', OLD.uuid, before
    FROM invoices WHERE id = OLD.invoice_id;
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)
        SELECT current_change(), uuid, '{singular}', NEW.uuid, after
        FROM invoices WHERE id = NEW.invoice_id;
    END IF;
    RETURN NULL;
END
$$
"""


WATCHED = (*RECORDED["invoices"], *(f"{name}_id" for name in REFERENCES["invoices"]))
TRIGGERS = (
    "CREATE TRIGGER record_gone BEFORE DELETE ON invoices FOR EACH ROW"
    " EXECUTE FUNCTION record_gone_invoice()",
    f"CREATE TRIGGER record_changed AFTER UPDATE OF {', '.join(WATCHED)} ON invoices"
    " FOR EACH ROW EXECUTE FUNCTION record_changed_invoice()",
    *(
        f"CREATE TRIGGER record_new AFTER INSERT ON {table} REFERENCING NEW TABLE AS new_rows"
        f" FOR EACH STATEMENT EXECUTE FUNCTION record_new_{table}()"
        for table in SINGULAR
    ),
    *(
        f"CREATE TRIGGER record_changed AFTER UPDATE OR DELETE ON {table} FOR EACH ROW"
        f" EXECUTE FUNCTION record_changed_{SINGULAR[table]}()"
        for table in ("invoice_items", "payments")
    ),
)

REFUSE = """
CREATE FUNCTION refuse_to_rewrite_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the record of changes is only added to'
        USING ERRCODE = 'insufficient_privilege', TABLE = TG_TABLE_NAME;
END
$$
"""
HISTORY = ("invoice_changes", "invoice_history")

# As before; a new count and head of the audit record is no change of the invoice either.
REVISE = """
CREATE OR REPLACE FUNCTION revise_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    noted invoices := OLD;
BEGIN
    noted.imported_revision := NEW.imported_revision;
    noted.history_count := NEW.history_count;
    noted.history_head := NEW.history_head;
    noted.total_cost := NEW.total_cost;  -- generated, and not known yet
    IF (NEW.imported_revision, NEW.history_count, NEW.history_head)
       IS NOT DISTINCT FROM (OLD.imported_revision, OLD.history_count, OLD.history_head)
       OR NEW IS DISTINCT FROM noted THEN
        NEW.revision := OLD.revision + 1;
    END IF;
    RETURN NEW;
END
$$
"""
REVISE_BEFORE = """
CREATE OR REPLACE FUNCTION revise_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    noted invoices := OLD;
BEGIN
    noted.imported_revision := NEW.imported_revision;
    noted.total_cost := NEW.total_cost;  -- generated, and not known yet
    IF NEW.imported_revision IS NOT DISTINCT FROM OLD.imported_revision
       OR NEW IS DISTINCT FROM noted THEN
        NEW.revision := OLD.revision + 1;
    END IF;
    RETURN NEW;
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "invoice_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("change", sa.Uuid(), nullable=False),
        sa.Column("invoice_uuid", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Uuid(), nullable=False),
        sa.Column("was", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("became", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint(
            "kind IN ('invoice', 'item', 'payment')", name=op.f("ck_invoice_changes_kind_is_known")
        ),
        sa.CheckConstraint(
            "num_nulls(was, became) < 2", name=op.f("ck_invoice_changes_something_was_or_became")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoice_changes")),
    )
    op.create_index(
        "ix_invoice_changes_change_invoice_uuid", "invoice_changes", ["change", "invoice_uuid"]
    )
    op.create_table(
        "invoice_history",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("change", sa.Uuid(), nullable=False),
        sa.Column("invoice_uuid", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("operation", sa.Text(), server_default="", nullable=False),
        sa.Column("user_uuid", sa.Uuid(), nullable=True),
        sa.Column("username", sa.Text(), server_default="", nullable=False),
        sa.Column("token", sa.Text(), server_default="", nullable=False),
        sa.Column("request_id", sa.Text(), server_default="", nullable=False),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "sequence > 0", name=op.f("ck_invoice_history_sequence_is_counted_from_one")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoice_history")),
        sa.UniqueConstraint(
            "change", "invoice_uuid", name=op.f("uq_invoice_history_change_invoice_uuid")
        ),
        sa.UniqueConstraint(
            "invoice_uuid", "sequence", name=op.f("uq_invoice_history_invoice_uuid_sequence")
        ),
    )
    op.add_column(
        "invoices", sa.Column("history_count", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column("invoices", sa.Column("history_head", sa.LargeBinary(), nullable=True))
    op.execute(REVISE)
    op.execute(CURRENT_CHANGE)
    for table in SINGULAR:
        op.execute(as_recorded_function(table))
        op.execute(record_new(table))
    op.execute(RECORD_CHANGED_INVOICE)
    op.execute(RECORD_GONE_INVOICE)
    for table in ("invoice_items", "payments"):
        op.execute(record_changed(table))
    op.execute(REFUSE)
    for trigger in TRIGGERS:
        op.execute(trigger)
    for table in HISTORY:
        op.execute(
            f"CREATE TRIGGER only_add BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_history()"
        )


def downgrade() -> None:
    for table, singular in SINGULAR.items():
        op.execute(f"DROP TRIGGER record_new ON {table}")
        op.execute(f"DROP FUNCTION record_new_{table}()")
        op.execute(f"DROP TRIGGER record_changed ON {table}")
        op.execute(f"DROP FUNCTION record_changed_{singular}()")
    op.execute("DROP TRIGGER record_gone ON invoices")
    op.execute("DROP FUNCTION record_gone_invoice()")
    for table, singular in SINGULAR.items():
        op.execute(f"DROP FUNCTION {singular}_as_recorded({table})")
    op.execute("DROP FUNCTION current_change()")
    op.execute(REVISE_BEFORE)
    op.drop_column("invoices", "history_head")
    op.drop_column("invoices", "history_count")
    op.drop_table("invoice_history")
    op.drop_index("ix_invoice_changes_change_invoice_uuid", table_name="invoice_changes")
    op.drop_table("invoice_changes")
    op.execute("DROP FUNCTION refuse_to_rewrite_history()")

"""taxes of 100 percent

Taxes may be 100 % and more. The values stay as they are, and no table is rewritten. A column's type
cannot change while a trigger names the column: two triggers are created again.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

DROP_TRIGGERS = """
DROP TRIGGER record_changed ON invoices;
DROP TRIGGER keep_total_cost_on_update ON invoices
"""
RECORD_CHANGED = """
CREATE TRIGGER record_changed AFTER UPDATE OF
    uuid, number, year, month, state, tax_percent, created, invoice_date, due_date, backend_id,
    payment_url, reference_number, cancel_reason, source, total_price, incurred_costs,
    compensations, customer_id
    ON invoices
    FOR EACH ROW EXECUTE FUNCTION record_changed_invoice()
"""
KEEP_TOTAL_COST = """
CREATE TRIGGER keep_total_cost_on_update BEFORE UPDATE ON invoices
    FOR EACH ROW
    WHEN ((NEW.total_price, NEW.tax_percent, NEW.total_cost)
          IS DISTINCT FROM (OLD.total_price, OLD.tax_percent, OLD.total_cost))
    EXECUTE FUNCTION keep_total_cost()
"""
COLUMNS = (("customers", "default_tax_percent"), ("invoices", "tax_percent"))


def set_type(new: str) -> None:
    for statement in DROP_TRIGGERS.split(";"):
        op.execute(statement)
    for table, column in COLUMNS:
        name = f"ck_{table}_{column}_is_not_negative"
        op.execute(
            # With the constraint, PostgreSQL would read the whole table under an exclusive lock.
            f"ALTER TABLE {table} DROP CONSTRAINT {name}, ALTER COLUMN {column} TYPE {new}"
        )
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT {name}"
            f" CHECK ({column} >= 0 AND {column} <> 'NaN') NOT VALID"
        )
    op.execute(RECORD_CHANGED)
    op.execute(KEEP_TOTAL_COST)


def upgrade() -> None:
    set_type("numeric(5,2)")


def downgrade() -> None:
    set_type("numeric(4,2)")

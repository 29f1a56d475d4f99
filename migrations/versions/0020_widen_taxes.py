"""widen taxes

A function that widens the tax of invoices to 100 % and more, for the import of the first such tax.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

WIDEN = """
CREATE FUNCTION widen_taxes() RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = 'invoices'::regclass AND attname = 'tax_percent'
            AND format_type(atttypid, atttypmod) = 'numeric(5,2)'
    ) THEN
        RETURN;
    END IF;
    DROP TRIGGER record_changed ON invoices;
    DROP TRIGGER keep_total_cost_on_update ON invoices;
    ALTER TABLE invoices ALTER COLUMN tax_percent TYPE numeric(5,2);
    CREATE TRIGGER record_changed AFTER UPDATE OF
        uuid, number, year, month, state, tax_percent, created, invoice_date, due_date, backend_id,
        payment_url, reference_number, cancel_reason, source, total_price, incurred_costs,
        compensations, customer_id
        ON invoices
        FOR EACH ROW EXECUTE FUNCTION record_changed_invoice();
    CREATE TRIGGER keep_total_cost_on_update BEFORE UPDATE ON invoices
        FOR EACH ROW
        WHEN ((NEW.total_price, NEW.tax_percent, NEW.total_cost)
              IS DISTINCT FROM (OLD.total_price, OLD.tax_percent, OLD.total_cost))
        EXECUTE FUNCTION keep_total_cost();
END
$$
"""
NARROW = (
    "DROP TRIGGER record_changed ON invoices",
    "DROP TRIGGER keep_total_cost_on_update ON invoices",
    "ALTER TABLE invoices ALTER COLUMN tax_percent TYPE numeric(4,2)",
    """
    CREATE TRIGGER record_changed AFTER UPDATE OF
        uuid, number, year, month, state, tax_percent, created, invoice_date, due_date, backend_id,
        payment_url, reference_number, cancel_reason, source, total_price, incurred_costs,
        compensations, customer_id
        ON invoices
        FOR EACH ROW EXECUTE FUNCTION record_changed_invoice()
    """,
    """
    CREATE TRIGGER keep_total_cost_on_update BEFORE UPDATE ON invoices
        FOR EACH ROW
        WHEN ((NEW.total_price, NEW.tax_percent, NEW.total_cost)
              IS DISTINCT FROM (OLD.total_price, OLD.tax_percent, OLD.total_cost))
        EXECUTE FUNCTION keep_total_cost()
    """,
)


def upgrade() -> None:
    op.execute(WIDEN)


def downgrade() -> None:
    op.execute("DROP FUNCTION widen_taxes()")
    for statement in NARROW:
        op.execute(statement)

"""hold totals

The totals of an issued invoice remain the sums of its items.
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

revision: str = "0039"
down_revision: str | None = "0038"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

AFTER: Final = (
    """
CREATE FUNCTION hold_frozen_totals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.total_price, NEW.incurred_costs, NEW.compensations) <> (
        SELECT coalesce(sum(price), 0),
               coalesce(sum(unit_price * quantity) FILTER (WHERE NOT credit), 0),
               coalesce(sum(unit_price * quantity) FILTER (WHERE credit), 0)
        FROM invoice_items WHERE invoice_id = NEW.id
    ) THEN
        RAISE EXCEPTION 'the totals of an issued invoice do not change'
            USING ERRCODE = 'restrict_violation', TABLE = 'invoices',
                  CONSTRAINT = 'frozen_totals';
    END IF;
    RETURN NEW;
END
$$
""",
    """
CREATE TRIGGER document_3_hold_totals BEFORE UPDATE ON invoices
    FOR EACH ROW
    WHEN (NEW.document_version IS NOT NULL AND (
        NEW.total_price IS DISTINCT FROM OLD.total_price
        OR NEW.incurred_costs IS DISTINCT FROM OLD.incurred_costs
        OR NEW.compensations IS DISTINCT FROM OLD.compensations))
    EXECUTE FUNCTION hold_frozen_totals()
""",
)


def upgrade() -> None:
    for statement in AFTER:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER document_3_hold_totals ON invoices")
    op.execute("DROP FUNCTION hold_frozen_totals()")

"""bounds

Validates the constraints of revision 0007 without blocking requests.
"""

from collections.abc import Sequence

from alembic import op

from migrations.limits import without_statement_timeout

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    with without_statement_timeout():
        op.execute("ALTER TABLE invoices VALIDATE CONSTRAINT ck_invoices_total_price_is_bounded")
        op.execute("ALTER TABLE payments VALIDATE CONSTRAINT ck_payments_sum_is_bounded")


def downgrade() -> None:
    pass

"""validate taxes

Validates the constraint of revision 0012 without blocking requests.
"""

from collections.abc import Sequence

from alembic import op

from migrations.limits import without_statement_timeout

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    with without_statement_timeout():
        op.execute(
            "ALTER TABLE customers VALIDATE CONSTRAINT"
            " ck_customers_default_tax_percent_is_not_negative"
        )


def downgrade() -> None:
    pass

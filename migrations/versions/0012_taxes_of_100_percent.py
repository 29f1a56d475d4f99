"""taxes of 100 percent

The default taxes of customers may be 100 % and more. The values stay as they are, and the table is
not rewritten.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NAME = "ck_customers_default_tax_percent_is_not_negative"


def set_type(new: str) -> None:
    # With the constraint, PostgreSQL would read the whole table under an exclusive lock.
    op.execute(
        f"ALTER TABLE customers DROP CONSTRAINT {NAME}, ALTER COLUMN default_tax_percent TYPE {new}"
    )
    op.execute(
        f"ALTER TABLE customers ADD CONSTRAINT {NAME}"
        " CHECK (default_tax_percent >= 0 AND default_tax_percent <> 'NaN') NOT VALID"
    )


def upgrade() -> None:
    set_type("numeric(5,2)")


def downgrade() -> None:
    set_type("numeric(4,2)")

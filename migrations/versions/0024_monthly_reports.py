"""monthly reports

The months whose reports were scheduled.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "monthly_reports",
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("month", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "\"created_at\" BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00'",
            name=op.f("ck_monthly_reports_dates_are_in_range"),
        ),
        sa.CheckConstraint(
            "month BETWEEN 1 AND 12", name=op.f("ck_monthly_reports_month_is_of_a_year")
        ),
        sa.CheckConstraint(
            "year BETWEEN 1 AND 9999", name=op.f("ck_monthly_reports_year_is_of_the_calendar")
        ),
        sa.PrimaryKeyConstraint("year", "month", name=op.f("pk_monthly_reports")),
    )


def downgrade() -> None:
    op.drop_table("monthly_reports")

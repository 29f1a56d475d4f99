"""validate kinds

Validates the constraints of revision 0030 without blocking requests.
"""

from collections.abc import Sequence

from alembic import op

from migrations.limits import without_statement_timeout

revision: str = "0031"
down_revision: str | None = "0030"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    with without_statement_timeout():
        for table in ("subject_changes", "subject_history", "subject_heads"):
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{table}_kind_is_known")


def downgrade() -> None:
    pass

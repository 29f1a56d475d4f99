"""impersonators

The member of staff who made a change as another user. Entries without one keep their digest.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("invoice_history", sa.Column("impersonator_uuid", sa.Uuid(), nullable=True))
    op.add_column(
        "invoice_history",
        sa.Column("impersonator_username", sa.Text(), server_default="", nullable=False),
    )


def downgrade() -> None:
    op.drop_column("invoice_history", "impersonator_username")
    op.drop_column("invoice_history", "impersonator_uuid")

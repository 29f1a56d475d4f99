"""differences

An index of the items that bill the differences of restated bills.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0037"
down_revision: str | None = "0036"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NAME = "ix_invoice_items_differences"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # An interrupted revision starts again, and may have left an invalid index.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")
        op.create_index(
            NAME,
            "invoice_items",
            ["invoice_id"],
            postgresql_where=sa.text("details ? 'restated_item'"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")

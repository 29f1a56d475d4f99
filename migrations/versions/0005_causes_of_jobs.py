"""causes of jobs

The request that caused an entry of the outbox, so that the log of its job can be found.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("outbox", sa.Column("request_id", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("outbox", "request_id")

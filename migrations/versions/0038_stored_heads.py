"""stored heads

The fields of frozen documents as the API sends them, beside their lines.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0038"
down_revision: str | None = "0037"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("lines_representations", sa.Column("head", sa.LargeBinary(), nullable=True))
    # The body leaves the row first.
    op.execute("ALTER TABLE lines_representations ALTER COLUMN head SET STORAGE MAIN")


def downgrade() -> None:
    op.drop_column("lines_representations", "head")

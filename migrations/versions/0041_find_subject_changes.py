"""find subject changes

Indexes the changes of subjects by transaction and subject, as those of invoices are. By the
transaction alone, sealing an import read all its changes again for each subject.
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

revision: str = "0041"
down_revision: str | None = "0040"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TABLE: Final = "subject_changes"
BY_CHANGE: Final = "ix_subject_changes_change"
BY_SUBJECT: Final = "ix_subject_changes_change_subject_uuid"


def upgrade() -> None:
    _replace(BY_CHANGE, BY_SUBJECT, ["change", "subject_uuid"])


def downgrade() -> None:
    _replace(BY_SUBJECT, BY_CHANGE, ["change"])


def _replace(old: str, new: str, columns: list[str]) -> None:
    with op.get_context().autocommit_block():
        # An interrupted revision starts again, and may have left an invalid index.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {new}")
        op.create_index(new, TABLE, columns, postgresql_concurrently=True)
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {old}")

"""find deliveries

Indexes the deliveries of credit notes and validates the constraint of revision 0035, without
blocking requests.
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

from migrations.limits import without_statement_timeout

revision: str = "0036"
down_revision: str | None = "0035"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TABLE: Final = "notification_deliveries"
INDEXES: Final = {
    "ix_notification_deliveries_credit_note_id": (
        "CREATE INDEX CONCURRENTLY ix_notification_deliveries_credit_note_id"
        f" ON {TABLE} (credit_note_id)"
    ),
    "uq_notification_deliveries_open_credit_note_id_recipient": (
        "CREATE UNIQUE INDEX CONCURRENTLY uq_notification_deliveries_open_credit_note_id_recipient"
        f" ON {TABLE} (credit_note_id, lower(recipient)) WHERE state IN ('pending', 'sending')"
    ),
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, statement in INDEXES.items():
            # An interrupted revision starts again, and may have left an invalid index.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(statement)
    with without_statement_timeout():
        op.execute(f"ALTER TABLE {TABLE} VALIDATE CONSTRAINT ck_{TABLE}_is_of_one_document")


def downgrade() -> None:
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")

"""deliveries of credit notes

A delivery is of an invoice or of a credit note. A worker of the release before, which knows no
credit notes, fails at such a delivery and leaves it to a later attempt.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0035"
down_revision: str | None = "0034"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "notification_deliveries",
        sa.Column(
            "credit_note_id",
            sa.BigInteger(),
            sa.ForeignKey(
                "credit_notes.id",
                name=op.f("fk_notification_deliveries_credit_note_id_credit_notes"),
            ),
            nullable=True,
        ),
    )
    op.alter_column("notification_deliveries", "invoice_id", nullable=True)
    op.execute(
        "ALTER TABLE notification_deliveries"
        " ADD CONSTRAINT ck_notification_deliveries_is_of_one_document"
        " CHECK (num_nonnulls(invoice_id, credit_note_id) = 1) NOT VALID"
    )


def downgrade() -> None:
    op.execute("DELETE FROM notification_deliveries WHERE invoice_id IS NULL")
    op.alter_column("notification_deliveries", "invoice_id", nullable=False)
    op.drop_column("notification_deliveries", "credit_note_id")

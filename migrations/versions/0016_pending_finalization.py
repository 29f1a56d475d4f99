"""pending finalization

The state of an invoice whose month has ended, and which waits for late usage.
"""

from collections.abc import Sequence

from alembic import op

from migrations import limits

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

BEFORE = "'pending', 'created', 'paid', 'canceled'"
AFTER = "'pending', 'pending_finalization', 'created', 'paid', 'canceled'"


def in_a_moment(statement: str) -> None:
    """Run a statement that locks a table, in its own transaction with a short lock timeout."""
    op.execute(
        f"DO $do$ BEGIN PERFORM set_config('lock_timeout', '{limits.LOCK_TIMEOUT}', true);"
        f" {statement}; END $do$"
    )


def allow(states: str) -> None:
    in_a_moment(
        "ALTER TABLE invoices DROP CONSTRAINT IF EXISTS ck_invoices_state_is_known,"
        f" ADD CONSTRAINT ck_invoices_state_is_known CHECK (state IN ({states})) NOT VALID"
    )


def upgrade() -> None:
    # Each statement is a transaction, so that no request waits for the scan of the table.
    with op.get_context().autocommit_block():
        allow(AFTER)
        op.execute("ALTER TABLE invoices VALIDATE CONSTRAINT ck_invoices_state_is_known")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        allow(BEFORE)
        # An older release issues it with the next close of the month, as this one would.
        op.execute("UPDATE invoices SET state = 'pending' WHERE state = 'pending_finalization'")
        op.execute("ALTER TABLE invoices VALIDATE CONSTRAINT ck_invoices_state_is_known")

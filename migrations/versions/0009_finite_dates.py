"""finite dates

No date or time is infinite, or outside of the years 1 to 9999. The first and the last were stored as
-infinity and infinity, which responses could not show; they are repaired.
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

from migrations import limits

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

DATE: Final = ("0001-01-01", "9999-12-31")
TIME: Final = ("0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00")
TABLES: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "users": {"created_at": TIME},
    "tokens": {"created_at": TIME, "expires_at": TIME, "revoked_at": TIME},
    "customers": {"accounting_start_date": TIME, "created_at": TIME},
    "customer_roles": {"created_at": TIME, "expires_at": TIME},
    "projects": {"created_at": TIME},
    "service_providers": {"created_at": TIME},
    "offerings": {"created_at": TIME},
    "plans": {"created_at": TIME},
    "resources": {"created_at": TIME},
    "customer_credits": {"end_date": DATE, "created_at": TIME},
    "invoices": {"created": DATE, "invoice_date": DATE, "due_date": DATE},
    "invoice_items": {"start": TIME, "end": TIME},
    "payments": {"date_of_payment": DATE, "created_at": TIME},
    "notification_deliveries": {"next_attempt_at": TIME, "created_at": TIME, "sent_at": TIME},
    "customer_year_totals": {"since": DATE},
    "kept_answers": {"created_at": TIME},
    "outbox": {"created_at": TIME, "due_at": TIME, "done_at": TIME},
}
"""All but invoice_history, whose sealed rows cannot be repaired; its times come from the clock."""


def name_of(table: str) -> str:
    return f"ck_{table}_dates_are_in_range"


def in_a_moment(statement: str) -> None:
    """Run a statement that locks a table, in its own transaction with a short lock timeout."""
    op.execute(
        f"DO $do$ BEGIN PERFORM set_config('lock_timeout', '{limits.LOCK_TIMEOUT}', true);"
        f" {statement}; END $do$"
    )


def upgrade() -> None:
    # Each statement is a transaction, so that no table is locked while another one is awaited. An
    # interrupted revision starts again: existing constraints are created once more.
    with op.get_context().autocommit_block():
        for table, columns in TABLES.items():
            is_in_range = " AND ".join(
                f"\"{column}\" BETWEEN '{first}' AND '{last}'"
                for column, (first, last) in columns.items()
            )
            in_a_moment(
                f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name_of(table)},"
                f" ADD CONSTRAINT {name_of(table)} CHECK ({is_in_range}) NOT VALID"
            )
            repaired = ", ".join(
                f"\"{column}\" = CASE WHEN \"{column}\" < '{first}' THEN '{first}'"
                f" WHEN \"{column}\" > '{last}' THEN '{last}' ELSE \"{column}\" END"
                for column, (first, last) in columns.items()
            )
            op.execute(f"UPDATE {table} SET {repaired} WHERE NOT ({is_in_range})")
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name_of(table)}")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for table in reversed(TABLES):
            in_a_moment(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name_of(table)}")

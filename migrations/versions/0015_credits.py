"""credits

Credits of projects, the ledger of all balances, affiliates with their fees, and the rules of the
minimal consumption. The amount that was called minimal consumption is the expected one. A balance
below zero, which pays nothing, becomes zero; a row of the ledger has the difference.
"""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

FIRST_TIME: Final = "0001-01-01 00:00:00+00"
LAST_TIME: Final = "9999-12-31 23:59:59.999999+00"
TIME_IS_IN_RANGE: Final = f"\"created_at\" BETWEEN '{FIRST_TIME}' AND '{LAST_TIME}'"
TYPES: Final = (
    "'staff_grant', 'compensation', 'minimal_draw', 'affiliate_fee', 'transfer_in', 'transfer_out',"
    " 'payout', 'expiry', 'rollback', 'adjustment', 'withdrawable_adjustment'"
)
CREDIT_CHECKS: Final = {
    "value_is_not_negative": "value >= 0 AND value <> 'NaN'",
    "expected_consumption_is_not_negative": (
        "expected_consumption >= 0 AND expected_consumption <> 'NaN'"
    ),
    "minimal_consumption_logic_is_known": "minimal_consumption_logic IN ('fixed', 'linear')",
    "grace_is_a_percentage": "grace_coefficient BETWEEN 0 AND 100",
}
ONLY_ADD: Final = """
CREATE TRIGGER only_add BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_history()
"""


def keys() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return (
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), primary_key=True),
        sa.Column("uuid", sa.Uuid(), nullable=False),
    )


def created_at() -> sa.Column[Any]:
    return sa.Column("created_at", sa.DateTime(timezone=True), nullable=False)


def amount(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Numeric(16, 5), nullable=False)


def dates_are_in_range(*dates: str) -> sa.CheckConstraint:
    conditions = [f"\"{name}\" BETWEEN '0001-01-01' AND '9999-12-31'" for name in dates]
    return sa.CheckConstraint(
        " AND ".join([*conditions, TIME_IS_IN_RANGE]), name="dates_are_in_range"
    )


def rules() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("grace_coefficient", sa.Numeric(3, 0), server_default="0", nullable=False),
        sa.Column(
            "apply_as_minimal_consumption", sa.Boolean(), server_default="true", nullable=False
        ),
    )


def upgrade() -> None:
    op.create_table(
        "project_credits",
        *keys(),
        sa.Column("project_id", sa.BigInteger(), sa.ForeignKey("projects.id"), nullable=False),
        amount("value"),
        sa.Column("end_date", sa.Date(), nullable=True),
        sa.Column("expected_consumption", sa.Numeric(16, 5), server_default="0", nullable=False),
        sa.Column("minimal_consumption_logic", sa.Text(), server_default="fixed", nullable=False),
        *rules(),
        sa.Column(
            "mark_unused_credit_as_spent_on_project_termination",
            sa.Boolean(),
            server_default="false",
            nullable=False,
        ),
        created_at(),
        sa.UniqueConstraint("uuid"),
        sa.UniqueConstraint("project_id"),
        *(sa.CheckConstraint(check, name=name) for name, check in CREDIT_CHECKS.items()),
        dates_are_in_range("end_date"),
    )
    op.create_table(
        "credit_transactions",
        *keys(),
        sa.Column("customer_uuid", sa.Uuid(), nullable=True),
        sa.Column("customer_credit_uuid", sa.Uuid(), nullable=True),
        sa.Column("project_credit_uuid", sa.Uuid(), nullable=True),
        sa.Column("project_uuid", sa.Uuid(), nullable=True),
        sa.Column("project_name", sa.Text(), server_default="", nullable=False),
        amount("amount"),
        sa.Column("transaction_type", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.Column("billing_period", sa.Date(), nullable=True),
        sa.Column("invoice_uuid", sa.Uuid(), nullable=True),
        created_at(),
        sa.UniqueConstraint("uuid"),
        sa.CheckConstraint(f"transaction_type IN ({TYPES})", name="transaction_type_is_known"),
        sa.CheckConstraint("amount <> 'NaN'", name="amount_is_a_number"),
        sa.CheckConstraint(
            "num_nonnulls(customer_credit_uuid, project_credit_uuid) <= 1",
            name="one_balance_moves",
        ),
        sa.CheckConstraint(
            "extract(day FROM billing_period) = 1", name="billing_period_is_a_first_day"
        ),
        dates_are_in_range("billing_period"),
    )
    for column in ("customer_uuid", "customer_credit_uuid", "project_credit_uuid", "project_uuid"):
        op.create_index(
            f"ix_credit_transactions_{column}_id", "credit_transactions", [column, "id"]
        )
    for column in ("invoice_uuid", "created_at"):
        op.create_index(f"ix_credit_transactions_{column}", "credit_transactions", [column])
    op.execute(ONLY_ADD)
    op.create_table(
        "customer_affiliates",
        *keys(),
        sa.Column("customer_id", sa.BigInteger(), sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("affiliate_id", sa.BigInteger(), sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("fee_percent", sa.Numeric(8, 5), server_default="0", nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("start_date", sa.Date(), nullable=True),
        sa.Column("end_date", sa.Date(), nullable=True),
        created_at(),
        sa.UniqueConstraint("uuid"),
        sa.UniqueConstraint("customer_id", "affiliate_id"),
        sa.CheckConstraint("customer_id <> affiliate_id", name="is_another_customer"),
        sa.CheckConstraint("fee_percent BETWEEN 0 AND 100", name="fee_is_a_percentage"),
        sa.CheckConstraint("end_date > start_date", name="ends_after_its_start"),
        dates_are_in_range("start_date", "end_date"),
    )
    op.create_index("ix_customer_affiliates_affiliate_id", "customer_affiliates", ["affiliate_id"])
    op.create_index(
        "uq_customer_affiliates_active_customer_id",
        "customer_affiliates",
        ["customer_id"],
        unique=True,
        postgresql_where=sa.text("is_active"),
    )
    op.create_table(
        "affiliate_fee_accruals",
        *keys(),
        sa.Column(
            "affiliate_link_id",
            sa.BigInteger(),
            sa.ForeignKey("customer_affiliates.id"),
            nullable=False,
        ),
        sa.Column("invoice_id", sa.BigInteger(), sa.ForeignKey("invoices.id"), nullable=False),
        amount("amount"),
        created_at(),
        sa.UniqueConstraint("uuid"),
        sa.UniqueConstraint("affiliate_link_id", "invoice_id"),
        sa.CheckConstraint("amount <> 'NaN'", name="amount_is_a_number"),
        dates_are_in_range(),
    )
    op.create_index(
        "ix_affiliate_fee_accruals_invoice_id", "affiliate_fee_accruals", ["invoice_id"]
    )
    _extend_customer_credits()


def _extend_customer_credits() -> None:
    op.alter_column(
        "customer_credits",
        "minimal_consumption",
        new_column_name="expected_consumption",
        server_default="0",
    )
    for column in rules():
        op.add_column("customer_credits", column)
    op.alter_column("customer_credits", "minimal_consumption_logic", server_default="fixed")
    op.execute(
        "UPDATE customer_credits SET minimal_consumption_logic = 'fixed'"
        " WHERE minimal_consumption_logic NOT IN ('fixed', 'linear')"
    )
    op.execute(
        "INSERT INTO credit_transactions (uuid, customer_uuid, customer_credit_uuid, amount,"
        " transaction_type, comment, created_at)"
        " SELECT gen_random_uuid(), customers.uuid, credit.uuid, -value, 'adjustment',"
        " 'A balance below zero became zero.', now() FROM customer_credits AS credit"
        " JOIN customers ON customers.id = credit.customer_id WHERE value < 0"
    )
    op.execute("UPDATE customer_credits SET value = 0 WHERE value < 0 OR value = 'NaN'")
    op.execute(
        "UPDATE customer_credits SET expected_consumption = 0"
        " WHERE expected_consumption < 0 OR expected_consumption = 'NaN'"
    )
    for name, check in CREDIT_CHECKS.items():
        op.create_check_constraint(name, "customer_credits", check)


def downgrade() -> None:
    for name in CREDIT_CHECKS:
        op.drop_constraint(name, "customer_credits", type_="check")
    op.alter_column("customer_credits", "minimal_consumption_logic", server_default="")
    op.drop_column("customer_credits", "apply_as_minimal_consumption")
    op.drop_column("customer_credits", "grace_coefficient")
    op.alter_column(
        "customer_credits",
        "expected_consumption",
        new_column_name="minimal_consumption",
        server_default=None,
    )
    op.drop_table("affiliate_fee_accruals")
    op.drop_table("customer_affiliates")
    op.drop_table("credit_transactions")
    op.drop_table("project_credits")

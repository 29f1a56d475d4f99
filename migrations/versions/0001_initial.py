"""initial"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateSequence, DropSequence
from sqlalchemy.schema import Sequence as NumberSequence

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


invoice_numbers = NumberSequence("invoice_numbers", start=100001)

# Totals follow the items in the same transaction, whatever the source of a change: by differences, so
# that two transactions that add items to one invoice at the same time both count.
KEEP_TOTALS = """
CREATE FUNCTION keep_invoice_totals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE invoices
        SET total_price = total_price + change.price,
            incurred_costs = incurred_costs + change.incurred,
            compensations = compensations + change.compensated
        FROM (
            SELECT invoice_id,
                   sum(price) AS price,
                   coalesce(sum(unit_price * quantity) FILTER (WHERE NOT credit), 0) AS incurred,
                   coalesce(sum(unit_price * quantity) FILTER (WHERE credit), 0) AS compensated
            FROM new_items
            GROUP BY invoice_id
        ) AS change
        WHERE invoices.id = change.invoice_id;
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE invoices
        SET total_price = total_price - change.price,
            incurred_costs = incurred_costs - change.incurred,
            compensations = compensations - change.compensated
        FROM (
            SELECT invoice_id,
                   sum(price) AS price,
                   coalesce(sum(unit_price * quantity) FILTER (WHERE NOT credit), 0) AS incurred,
                   coalesce(sum(unit_price * quantity) FILTER (WHERE credit), 0) AS compensated
            FROM old_items
            GROUP BY invoice_id
        ) AS change
        WHERE invoices.id = change.invoice_id;
    ELSE
        UPDATE invoices
        SET total_price = total_price + change.price,
            incurred_costs = incurred_costs + change.incurred,
            compensations = compensations + change.compensated
        FROM (
            SELECT invoice_id,
                   sum(sign * price) AS price,
                   coalesce(sum(sign * unit_price * quantity) FILTER (WHERE NOT credit), 0)
                       AS incurred,
                   coalesce(sum(sign * unit_price * quantity) FILTER (WHERE credit), 0)
                       AS compensated
            FROM (
                SELECT 1 AS sign, invoice_id, price, unit_price, quantity, credit FROM new_items
                UNION ALL
                SELECT -1, invoice_id, price, unit_price, quantity, credit FROM old_items
            ) AS signed
            GROUP BY invoice_id
        ) AS change
        WHERE invoices.id = change.invoice_id;
    END IF;
    RETURN NULL;
END
$$
"""
KEEP_TOTALS_TRIGGERS = (
    "CREATE TRIGGER keep_totals_on_insert AFTER INSERT ON invoice_items"
    " REFERENCING NEW TABLE AS new_items FOR EACH STATEMENT"
    " EXECUTE FUNCTION keep_invoice_totals()",
    "CREATE TRIGGER keep_totals_on_update AFTER UPDATE ON invoice_items"
    " REFERENCING OLD TABLE AS old_items NEW TABLE AS new_items FOR EACH STATEMENT"
    " EXECUTE FUNCTION keep_invoice_totals()",
    "CREATE TRIGGER keep_totals_on_delete AFTER DELETE ON invoice_items"
    " REFERENCING OLD TABLE AS old_items FOR EACH STATEMENT"
    " EXECUTE FUNCTION keep_invoice_totals()",
)

# Storing the revision of an import is no change of the invoice; everything else is.
REVISE = """
CREATE FUNCTION revise_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.imported_revision IS NOT DISTINCT FROM OLD.imported_revision THEN
        NEW.revision := OLD.revision + 1;
    END IF;
    RETURN NEW;
END
$$
"""
REVISE_TRIGGER = (
    "CREATE TRIGGER revise BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION revise_invoice()"
)


def upgrade() -> None:
    op.execute(CreateSequence(invoice_numbers))
    op.create_table(
        "categories",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_categories")),
        sa.UniqueConstraint("uuid", name=op.f("uq_categories_uuid")),
    )
    op.create_table(
        "customers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=150), nullable=False),
        sa.Column("email", sa.String(length=75), server_default="", nullable=False),
        sa.Column("phone_number", sa.String(length=255), server_default="", nullable=False),
        sa.Column("address", sa.String(length=300), server_default="", nullable=False),
        sa.Column("postal", sa.String(length=20), server_default="", nullable=False),
        sa.Column("country", sa.String(length=2), server_default="", nullable=False),
        sa.Column("bank_name", sa.String(length=150), server_default="", nullable=False),
        sa.Column("bank_account", sa.String(length=50), server_default="", nullable=False),
        sa.Column("vat_code", sa.String(length=20), server_default="", nullable=False),
        sa.Column("default_tax_percent", sa.Numeric(precision=4, scale=2), nullable=False),
        sa.Column("accounting_start_date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "default_tax_percent >= 0 AND default_tax_percent <> 'NaN'",
            name=op.f("ck_customers_default_tax_percent_is_not_negative"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customers")),
        sa.UniqueConstraint("uuid", name=op.f("uq_customers_uuid")),
    )
    op.create_index(
        op.f("ix_customers_accounting_start_date"),
        "customers",
        ["accounting_start_date"],
        unique=False,
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column(
            "arguments",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(
        "ix_outbox_open_due_at",
        "outbox",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("full_name", sa.Text(), server_default="", nullable=False),
        sa.Column("email", sa.Text(), server_default="", nullable=False),
        sa.Column("is_staff", sa.Boolean(), nullable=False),
        sa.Column("is_support", sa.Boolean(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
        sa.UniqueConstraint("uuid", name=op.f("uq_users_uuid")),
    )
    op.create_table(
        "access_subnets",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("network", postgresql.CIDR(), nullable=True),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
            name=op.f("fk_access_subnets_customer_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_subnets")),
        sa.UniqueConstraint("uuid", name=op.f("uq_access_subnets_uuid")),
    )
    op.create_index(
        op.f("ix_access_subnets_customer_id"), "access_subnets", ["customer_id"], unique=False
    )
    op.create_table(
        "customer_credits",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Numeric(precision=16, scale=5), nullable=False),
        sa.Column("end_date", sa.Date(), nullable=True),
        sa.Column("minimal_consumption", sa.Numeric(precision=16, scale=5), nullable=False),
        sa.Column("minimal_consumption_logic", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_customer_credits_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_credits")),
        sa.UniqueConstraint("customer_id", name=op.f("uq_customer_credits_customer_id")),
        sa.UniqueConstraint("uuid", name=op.f("uq_customer_credits_uuid")),
    )
    op.create_table(
        "customer_roles",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "role IN ('owner', 'manager', 'support', 'reader')",
            name=op.f("ck_customer_roles_role_is_known"),
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
            name=op.f("fk_customer_roles_customer_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_customer_roles_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_roles")),
        sa.UniqueConstraint("uuid", name=op.f("uq_customer_roles_uuid")),
    )
    op.create_index(
        op.f("ix_customer_roles_customer_id"), "customer_roles", ["customer_id"], unique=False
    )
    op.create_index(
        "ix_customer_roles_user_id_customer_id",
        "customer_roles",
        ["user_id", "customer_id"],
        unique=False,
    )
    op.create_table(
        "invoices",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column(
            "number",
            sa.BigInteger(),
            server_default=sa.text("nextval('invoice_numbers')"),
            nullable=False,
        ),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("month", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("tax_percent", sa.Numeric(precision=4, scale=2), nullable=False),
        sa.Column("created", sa.Date(), nullable=False),
        sa.Column("invoice_date", sa.Date(), nullable=True),
        sa.Column("due_date", sa.Date(), nullable=True),
        sa.Column("backend_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("payment_url", sa.String(length=200), server_default="", nullable=False),
        sa.Column("reference_number", sa.String(length=300), server_default="", nullable=False),
        sa.Column("cancel_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column(
            "total_price", sa.Numeric(precision=22, scale=2), server_default="0", nullable=False
        ),
        sa.Column("incurred_costs", sa.Numeric(), server_default="0", nullable=False),
        sa.Column("compensations", sa.Numeric(), server_default="0", nullable=False),
        sa.Column(
            "total_cost",
            sa.Numeric(precision=22, scale=2),
            sa.Computed("round(total_price * (100 + tax_percent) / 100, 2)", persisted=True),
            nullable=False,
        ),
        sa.Column("revision", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("imported_revision", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'created', 'paid', 'canceled')",
            name=op.f("ck_invoices_state_is_known"),
        ),
        sa.CheckConstraint(
            "(invoice_date IS NULL) = (due_date IS NULL)",
            name=op.f("ck_invoices_due_date_follows_invoice_date"),
        ),
        sa.CheckConstraint("month BETWEEN 1 AND 12", name=op.f("ck_invoices_month_is_of_a_year")),
        sa.CheckConstraint(
            "tax_percent >= 0 AND tax_percent <> 'NaN'",
            name=op.f("ck_invoices_tax_percent_is_not_negative"),
        ),
        sa.CheckConstraint(
            "year BETWEEN 1 AND 9999", name=op.f("ck_invoices_year_is_of_the_calendar")
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_invoices_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoices")),
        sa.UniqueConstraint(
            "customer_id", "year", "month", name=op.f("uq_invoices_customer_id_year_month")
        ),
        sa.UniqueConstraint("number", name=op.f("uq_invoices_number")),
        sa.UniqueConstraint("uuid", name=op.f("uq_invoices_uuid")),
    )
    op.create_index(
        "ix_invoices_created_newest_first",
        "invoices",
        [
            sa.literal_column("created DESC"),
            sa.literal_column("year DESC"),
            sa.literal_column("month DESC"),
            sa.literal_column("number DESC"),
        ],
        unique=False,
    )
    op.create_index(
        "ix_invoices_month_newest_first",
        "invoices",
        [
            sa.literal_column("month DESC"),
            sa.literal_column("year DESC"),
            sa.literal_column("number DESC"),
        ],
        unique=False,
    )
    op.create_index(
        "ix_invoices_newest_first",
        "invoices",
        [
            sa.literal_column("year DESC"),
            sa.literal_column("month DESC"),
            sa.literal_column("number DESC"),
        ],
        unique=False,
    )
    op.create_index(
        "ix_invoices_state_newest_first",
        "invoices",
        [
            "state",
            sa.literal_column("year DESC"),
            sa.literal_column("month DESC"),
            sa.literal_column("number DESC"),
        ],
        unique=False,
    )
    op.create_index("ix_invoices_total_cost", "invoices", ["total_cost"], unique=False)
    op.create_table(
        "offerings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), server_default="", nullable=False),
        sa.Column("category_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["category_id"], ["categories.id"], name=op.f("fk_offerings_category_id")
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_offerings_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_offerings")),
        sa.UniqueConstraint("uuid", name=op.f("uq_offerings_uuid")),
    )
    op.create_index(op.f("ix_offerings_category_id"), "offerings", ["category_id"], unique=False)
    op.create_index(op.f("ix_offerings_customer_id"), "offerings", ["customer_id"], unique=False)
    op.create_table(
        "payment_profiles",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=150), server_default="", nullable=False),
        sa.Column("payment_type", sa.Text(), nullable=False),
        sa.Column(
            "attributes",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
        ),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "payment_type IN ('fixed_price', 'invoices', 'payment_gw_monthly')",
            name=op.f("ck_payment_profiles_payment_type_is_known"),
        ),
        sa.CheckConstraint(
            "jsonb_typeof(attributes) = 'object'",
            name=op.f("ck_payment_profiles_attributes_are_an_object"),
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_payment_profiles_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_profiles")),
        sa.UniqueConstraint("uuid", name=op.f("uq_payment_profiles_uuid")),
    )
    op.create_index(
        op.f("ix_payment_profiles_customer_id"), "payment_profiles", ["customer_id"], unique=False
    )
    op.create_index(
        "uq_payment_profiles_active_customer_id",
        "payment_profiles",
        ["customer_id"],
        unique=True,
        postgresql_where=sa.text("is_active"),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("is_removed", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_projects_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("uuid", name=op.f("uq_projects_uuid")),
    )
    op.create_index(op.f("ix_projects_customer_id"), "projects", ["customer_id"], unique=False)
    op.create_table(
        "service_providers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_service_providers_customer_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_providers")),
        sa.UniqueConstraint("customer_id", name=op.f("uq_service_providers_customer_id")),
        sa.UniqueConstraint("uuid", name=op.f("uq_service_providers_uuid")),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("length(digest) = 64", name=op.f("ck_tokens_digest_is_sha256")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_tokens_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_tokens_digest")),
        sa.UniqueConstraint("uuid", name=op.f("uq_tokens_uuid")),
    )
    op.create_index(op.f("ix_tokens_user_id"), "tokens", ["user_id"], unique=False)
    op.create_table(
        "customer_credit_offerings",
        sa.Column("customer_credit_id", sa.BigInteger(), nullable=False),
        sa.Column("offering_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_credit_id"],
            ["customer_credits.id"],
            name=op.f("fk_customer_credit_offerings_customer_credit_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["offering_id"],
            ["offerings.id"],
            name=op.f("fk_customer_credit_offerings_offering_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "customer_credit_id", "offering_id", name=op.f("pk_customer_credit_offerings")
        ),
    )
    op.create_index(
        op.f("ix_customer_credit_offerings_offering_id"),
        "customer_credit_offerings",
        ["offering_id"],
        unique=False,
    )
    op.create_table(
        "notification_deliveries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.BigInteger(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), server_default="", nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'sending', 'sent', 'failed')",
            name=op.f("ck_notification_deliveries_state_is_known"),
        ),
        sa.ForeignKeyConstraint(
            ["invoice_id"],
            ["invoices.id"],
            name=op.f("fk_notification_deliveries_invoice_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification_deliveries")),
        sa.UniqueConstraint("message_id", name=op.f("uq_notification_deliveries_message_id")),
        sa.UniqueConstraint("uuid", name=op.f("uq_notification_deliveries_uuid")),
    )
    op.create_index(
        op.f("ix_notification_deliveries_invoice_id"),
        "notification_deliveries",
        ["invoice_id"],
        unique=False,
    )
    op.create_index(
        "ix_notification_deliveries_open_next_attempt_at",
        "notification_deliveries",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'sending')"),
    )
    op.create_index(
        "uq_notification_deliveries_open_invoice_id_recipient",
        "notification_deliveries",
        ["invoice_id", sa.literal_column("lower(recipient)")],
        unique=True,
        postgresql_where=sa.text("state IN ('pending', 'sending')"),
    )
    op.create_table(
        "offering_components",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("offering_id", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("billing_type", sa.Text(), nullable=False),
        sa.Column("measured_unit", sa.Text(), server_default="", nullable=False),
        sa.Column("article_code", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "billing_type IN ('fixed', 'usage', 'limit', 'one', 'few')",
            name=op.f("ck_offering_components_billing_type_is_known"),
        ),
        sa.ForeignKeyConstraint(
            ["offering_id"], ["offerings.id"], name=op.f("fk_offering_components_offering_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_offering_components")),
        sa.UniqueConstraint("uuid", name=op.f("uq_offering_components_uuid")),
    )
    op.create_index(
        op.f("ix_offering_components_offering_id"),
        "offering_components",
        ["offering_id"],
        unique=False,
    )
    op.create_table(
        "payments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=False),
        sa.Column("invoice_id", sa.BigInteger(), nullable=True),
        sa.Column("date_of_payment", sa.Date(), nullable=False),
        sa.Column("sum", sa.Numeric(precision=22, scale=2), nullable=False),
        sa.Column("proof_key", sa.Text(), nullable=True),
        sa.Column("proof_name", sa.Text(), nullable=True),
        sa.Column("proof_media_type", sa.Text(), nullable=True),
        sa.Column("proof_size", sa.Integer(), nullable=True),
        sa.Column("proof_sha256", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "num_nulls(proof_key, proof_name, proof_media_type, proof_size, proof_sha256) IN (0, 5)",
            name=op.f("ck_payments_proof_is_whole"),
        ),
        sa.CheckConstraint("sum <> 'NaN'", name=op.f("ck_payments_sum_is_a_number")),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoices.id"], name=op.f("fk_payments_invoice_id")
        ),
        sa.ForeignKeyConstraint(
            ["profile_id"], ["payment_profiles.id"], name=op.f("fk_payments_profile_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payments")),
        sa.UniqueConstraint("proof_key", name=op.f("uq_payments_proof_key")),
        sa.UniqueConstraint("uuid", name=op.f("uq_payments_uuid")),
    )
    op.create_index(op.f("ix_payments_invoice_id"), "payments", ["invoice_id"], unique=False)
    op.create_index(op.f("ix_payments_profile_id"), "payments", ["profile_id"], unique=False)
    op.create_table(
        "plans",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("offering_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("unit_price", sa.Numeric(precision=22, scale=10), nullable=False),
        sa.Column("article_code", sa.Text(), server_default="", nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "unit IN ('month', 'quarter', 'half_month', 'day', 'hour', 'quantity')",
            name=op.f("ck_plans_unit_is_known"),
        ),
        sa.ForeignKeyConstraint(
            ["offering_id"], ["offerings.id"], name=op.f("fk_plans_offering_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plans")),
        sa.UniqueConstraint("uuid", name=op.f("uq_plans_uuid")),
    )
    op.create_index(op.f("ix_plans_offering_id"), "plans", ["offering_id"], unique=False)
    op.create_table(
        "plan_components",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("component_id", sa.BigInteger(), nullable=True),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("price", sa.Numeric(precision=22, scale=10), nullable=False),
        sa.ForeignKeyConstraint(
            ["component_id"],
            ["offering_components.id"],
            name=op.f("fk_plan_components_component_id"),
        ),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("fk_plan_components_plan_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan_components")),
        sa.UniqueConstraint("uuid", name=op.f("uq_plan_components_uuid")),
    )
    op.create_index(
        op.f("ix_plan_components_component_id"), "plan_components", ["component_id"], unique=False
    )
    op.create_index(
        op.f("ix_plan_components_plan_id"), "plan_components", ["plan_id"], unique=False
    )
    op.create_table(
        "resources",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("offering_id", sa.BigInteger(), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=True),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["offering_id"], ["offerings.id"], name=op.f("fk_resources_offering_id")
        ),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("fk_resources_plan_id")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_resources_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resources")),
        sa.UniqueConstraint("uuid", name=op.f("uq_resources_uuid")),
    )
    op.create_index(op.f("ix_resources_offering_id"), "resources", ["offering_id"], unique=False)
    op.create_index(op.f("ix_resources_plan_id"), "resources", ["plan_id"], unique=False)
    op.create_index(op.f("ix_resources_project_id"), "resources", ["project_id"], unique=False)
    op.create_table(
        "invoice_items",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("unit_price", sa.Numeric(precision=22, scale=10), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=22, scale=10), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("measured_unit", sa.Text(), server_default="", nullable=False),
        sa.Column("article_code", sa.String(length=30), server_default="", nullable=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=True),
        sa.Column("project_name", sa.Text(), server_default="", nullable=False),
        sa.Column("project_uuid", sa.Uuid(), nullable=True),
        sa.Column("resource_id", sa.BigInteger(), nullable=True),
        sa.Column("offering_id", sa.BigInteger(), nullable=True),
        sa.Column("plan_component_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "details", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("backend_uuid", sa.Uuid(), nullable=True),
        sa.Column("credit", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("customer_credit_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "price",
            sa.Numeric(precision=28, scale=2),
            sa.Computed(
                "sign((unit_price * quantity)) * ceil(abs((unit_price * quantity)) * 100) / 100",
                persisted=True,
            ),
            nullable=False,
        ),
        sa.CheckConstraint(
            "unit IN ('month', 'quarter', 'half_month', 'day', 'hour', 'quantity')",
            name=op.f("ck_invoice_items_unit_is_known"),
        ),
        sa.CheckConstraint(
            "customer_credit_id IS NULL OR credit",
            name=op.f("ck_invoice_items_customer_credit_makes_a_credit"),
        ),
        sa.CheckConstraint(
            "unit_price <> 'NaN' AND quantity <> 'NaN'",
            name=op.f("ck_invoice_items_amounts_are_numbers"),
        ),
        sa.CheckConstraint(
            "jsonb_typeof(details) = 'object'",
            name=op.f("ck_invoice_items_details_are_an_object"),
        ),
        sa.ForeignKeyConstraint(
            ["customer_credit_id"],
            ["customer_credits.id"],
            name=op.f("fk_invoice_items_customer_credit_id"),
        ),
        sa.ForeignKeyConstraint(
            ["invoice_id"],
            ["invoices.id"],
            name=op.f("fk_invoice_items_invoice_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["offering_id"], ["offerings.id"], name=op.f("fk_invoice_items_offering_id")
        ),
        sa.ForeignKeyConstraint(
            ["plan_component_id"],
            ["plan_components.id"],
            name=op.f("fk_invoice_items_plan_component_id"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_invoice_items_project_id")
        ),
        sa.ForeignKeyConstraint(
            ["resource_id"], ["resources.id"], name=op.f("fk_invoice_items_resource_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoice_items")),
        sa.UniqueConstraint("uuid", name=op.f("uq_invoice_items_uuid")),
    )
    op.create_index(
        op.f("ix_invoice_items_customer_credit_id"),
        "invoice_items",
        ["customer_credit_id"],
        unique=False,
    )
    op.create_index(
        "ix_invoice_items_invoice_id_id", "invoice_items", ["invoice_id", "id"], unique=False
    )
    op.create_index(
        op.f("ix_invoice_items_offering_id"), "invoice_items", ["offering_id"], unique=False
    )
    op.create_index(
        op.f("ix_invoice_items_plan_component_id"),
        "invoice_items",
        ["plan_component_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_invoice_items_project_id"), "invoice_items", ["project_id"], unique=False
    )
    op.create_index(
        op.f("ix_invoice_items_resource_id"), "invoice_items", ["resource_id"], unique=False
    )
    for statement in (KEEP_TOTALS, *KEEP_TOTALS_TRIGGERS, REVISE, REVISE_TRIGGER):
        op.execute(statement)


def downgrade() -> None:
    op.drop_index(op.f("ix_invoice_items_resource_id"), table_name="invoice_items")
    op.drop_index(op.f("ix_invoice_items_project_id"), table_name="invoice_items")
    op.drop_index(op.f("ix_invoice_items_plan_component_id"), table_name="invoice_items")
    op.drop_index(op.f("ix_invoice_items_offering_id"), table_name="invoice_items")
    op.drop_index("ix_invoice_items_invoice_id_id", table_name="invoice_items")
    op.drop_index(op.f("ix_invoice_items_customer_credit_id"), table_name="invoice_items")
    op.drop_table("invoice_items")
    op.drop_index(op.f("ix_resources_project_id"), table_name="resources")
    op.drop_index(op.f("ix_resources_plan_id"), table_name="resources")
    op.drop_index(op.f("ix_resources_offering_id"), table_name="resources")
    op.drop_table("resources")
    op.drop_index(op.f("ix_plan_components_plan_id"), table_name="plan_components")
    op.drop_index(op.f("ix_plan_components_component_id"), table_name="plan_components")
    op.drop_table("plan_components")
    op.drop_index(op.f("ix_plans_offering_id"), table_name="plans")
    op.drop_table("plans")
    op.drop_index(op.f("ix_payments_profile_id"), table_name="payments")
    op.drop_index(op.f("ix_payments_invoice_id"), table_name="payments")
    op.drop_table("payments")
    op.drop_index(op.f("ix_offering_components_offering_id"), table_name="offering_components")
    op.drop_table("offering_components")
    op.drop_index(
        "uq_notification_deliveries_open_invoice_id_recipient",
        table_name="notification_deliveries",
        postgresql_where=sa.text("state IN ('pending', 'sending')"),
    )
    op.drop_index(
        "ix_notification_deliveries_open_next_attempt_at",
        table_name="notification_deliveries",
        postgresql_where=sa.text("state IN ('pending', 'sending')"),
    )
    op.drop_index(
        op.f("ix_notification_deliveries_invoice_id"), table_name="notification_deliveries"
    )
    op.drop_table("notification_deliveries")
    op.drop_index(
        op.f("ix_customer_credit_offerings_offering_id"), table_name="customer_credit_offerings"
    )
    op.drop_table("customer_credit_offerings")
    op.drop_index(op.f("ix_tokens_user_id"), table_name="tokens")
    op.drop_table("tokens")
    op.drop_table("service_providers")
    op.drop_index(op.f("ix_projects_customer_id"), table_name="projects")
    op.drop_table("projects")
    op.drop_index(
        "uq_payment_profiles_active_customer_id",
        table_name="payment_profiles",
        postgresql_where=sa.text("is_active"),
    )
    op.drop_index(op.f("ix_payment_profiles_customer_id"), table_name="payment_profiles")
    op.drop_table("payment_profiles")
    op.drop_index(op.f("ix_offerings_customer_id"), table_name="offerings")
    op.drop_index(op.f("ix_offerings_category_id"), table_name="offerings")
    op.drop_table("offerings")
    op.drop_index("ix_invoices_total_cost", table_name="invoices")
    op.drop_index("ix_invoices_state_newest_first", table_name="invoices")
    op.drop_index("ix_invoices_newest_first", table_name="invoices")
    op.drop_index("ix_invoices_month_newest_first", table_name="invoices")
    op.drop_index("ix_invoices_created_newest_first", table_name="invoices")
    op.drop_table("invoices")
    op.drop_index("ix_customer_roles_user_id_customer_id", table_name="customer_roles")
    op.drop_index(op.f("ix_customer_roles_customer_id"), table_name="customer_roles")
    op.drop_table("customer_roles")
    op.drop_table("customer_credits")
    op.drop_index(op.f("ix_access_subnets_customer_id"), table_name="access_subnets")
    op.drop_table("access_subnets")
    op.drop_table("users")
    op.drop_index(
        "ix_outbox_open_due_at", table_name="outbox", postgresql_where=sa.text("done_at IS NULL")
    )
    op.drop_table("outbox")
    op.drop_index(op.f("ix_customers_accounting_start_date"), table_name="customers")
    op.drop_table("customers")
    op.drop_table("categories")
    op.execute("DROP FUNCTION keep_invoice_totals()")
    op.execute("DROP FUNCTION revise_invoice()")
    op.execute(DropSequence(invoice_numbers))

"""subject record

Every change of a credit, an affiliate, a payment profile or a payment leaves rows in
subject_changes; subject_history seals them. Both are append-only. The record of invoices stays as
it is.
"""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0025"
down_revision: str | None = "0024"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KINDS: Final = (
    "kind IN ('customer_credit', 'project_credit', 'customer_affiliate', 'payment_profile',"
    " 'payment')"
)
CREATED: Final = (
    """
CREATE FUNCTION customer_credit_as_recorded(given customer_credits) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'uuid', given."uuid", 'value', given."value", 'end_date', given."end_date",
        'expected_consumption', given."expected_consumption",
        'minimal_consumption_logic', given."minimal_consumption_logic",
        'grace_coefficient', given."grace_coefficient",
        'apply_as_minimal_consumption', given."apply_as_minimal_consumption",
        'created_at', given."created_at",
        'customer', (SELECT uuid FROM customers WHERE id = given.customer_id),
        'offerings', (
            SELECT coalesce(jsonb_agg(o.uuid ORDER BY o.uuid), '[]')
            FROM customer_credit_offerings AS paid
            LEFT JOIN offerings AS o ON o.id = paid.offering_id
            WHERE paid.customer_credit_id = given.id
        )
    )
$$
""",
    """
CREATE FUNCTION project_credit_as_recorded(given project_credits) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'uuid', given."uuid", 'value', given."value", 'end_date', given."end_date",
        'expected_consumption', given."expected_consumption",
        'minimal_consumption_logic', given."minimal_consumption_logic",
        'grace_coefficient', given."grace_coefficient",
        'apply_as_minimal_consumption', given."apply_as_minimal_consumption",
        'mark_unused_credit_as_spent_on_project_termination',
        given."mark_unused_credit_as_spent_on_project_termination",
        'created_at', given."created_at",
        'project', (SELECT uuid FROM projects WHERE id = given.project_id)
    )
$$
""",
    """
CREATE FUNCTION customer_affiliate_as_recorded(given customer_affiliates) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'uuid', given."uuid", 'fee_percent', given."fee_percent", 'is_active', given."is_active",
        'start_date', given."start_date", 'end_date', given."end_date",
        'created_at', given."created_at",
        'customer', (SELECT uuid FROM customers WHERE id = given.customer_id),
        'affiliate', (SELECT uuid FROM customers WHERE id = given.affiliate_id)
    )
$$
""",
    """
CREATE FUNCTION payment_profile_as_recorded(given payment_profiles) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'uuid', given."uuid", 'name', given."name", 'payment_type', given."payment_type",
        'attributes', given."attributes", 'is_active', given."is_active",
        'customer', (SELECT uuid FROM customers WHERE id = given.customer_id)
    )
$$
""",
    """
CREATE FUNCTION linked_payment_as_recorded(given payments) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT payment_as_recorded(given) || jsonb_build_object(
        'invoice', (SELECT uuid FROM invoices WHERE id = given.invoice_id)
    )
$$
""",
    """
CREATE FUNCTION subject_as_recorded(kind text, subject uuid) RETURNS jsonb LANGUAGE sql STABLE
SET timezone = 'UTC' AS $$
    SELECT CASE $1
        WHEN 'customer_credit' THEN (
            SELECT customer_credit_as_recorded(r) FROM customer_credits AS r WHERE r.uuid = $2)
        WHEN 'project_credit' THEN (
            SELECT project_credit_as_recorded(r) FROM project_credits AS r WHERE r.uuid = $2)
        WHEN 'customer_affiliate' THEN (
            SELECT customer_affiliate_as_recorded(r) FROM customer_affiliates AS r
            WHERE r.uuid = $2)
        WHEN 'payment_profile' THEN (
            SELECT payment_profile_as_recorded(r) FROM payment_profiles AS r WHERE r.uuid = $2)
        WHEN 'payment' THEN (
            SELECT linked_payment_as_recorded(r) FROM payments AS r WHERE r.uuid = $2)
    END
$$
""",
    """
CREATE FUNCTION record_subject(kind text, was jsonb, became jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF $2 IS NULL OR $3 IS NULL THEN
        INSERT INTO subject_changes (change, subject_uuid, kind, was, became)
        VALUES (current_change(), (coalesce($3, $2) ->> 'uuid')::uuid, $1, $2, $3);
    ELSIF $2 <> $3 THEN
        INSERT INTO subject_changes (change, subject_uuid, kind, was, became)
        SELECT current_change(), ($3 ->> 'uuid')::uuid, $1,
               jsonb_object_agg(field.key, field.value),
               jsonb_object_agg(field.key, $3 -> field.key)
        FROM jsonb_each($2) AS field
        WHERE field.value <> $3 -> field.key;
    END IF;
END
$$
""",
    """
CREATE FUNCTION record_customer_credit() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    PERFORM record_subject('customer_credit',
        CASE WHEN TG_OP <> 'INSERT' THEN customer_credit_as_recorded(OLD) END,
        CASE WHEN TG_OP <> 'DELETE' THEN customer_credit_as_recorded(NEW) END);
    RETURN OLD;
END
$$
""",
    """
CREATE FUNCTION record_project_credit() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    PERFORM record_subject('project_credit',
        CASE WHEN TG_OP <> 'INSERT' THEN project_credit_as_recorded(OLD) END,
        CASE WHEN TG_OP <> 'DELETE' THEN project_credit_as_recorded(NEW) END);
    RETURN NULL;
END
$$
""",
    """
CREATE FUNCTION record_customer_affiliate() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    PERFORM record_subject('customer_affiliate',
        CASE WHEN TG_OP <> 'INSERT' THEN customer_affiliate_as_recorded(OLD) END,
        CASE WHEN TG_OP <> 'DELETE' THEN customer_affiliate_as_recorded(NEW) END);
    RETURN NULL;
END
$$
""",
    """
CREATE FUNCTION record_payment_profile() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    PERFORM record_subject('payment_profile',
        CASE WHEN TG_OP <> 'INSERT' THEN payment_profile_as_recorded(OLD) END,
        CASE WHEN TG_OP <> 'DELETE' THEN payment_profile_as_recorded(NEW) END);
    RETURN NULL;
END
$$
""",
    """
CREATE FUNCTION record_payment() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    PERFORM record_subject('payment',
        CASE WHEN TG_OP <> 'INSERT' THEN linked_payment_as_recorded(OLD) END,
        CASE WHEN TG_OP <> 'DELETE' THEN linked_payment_as_recorded(NEW) END);
    RETURN NULL;
END
$$
""",
    """
CREATE FUNCTION record_offerings(credit bigint, lost bigint[], gained bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM record_subject('customer_credit',
        jsonb_build_object('uuid', c.uuid, 'offerings', before.offerings),
        jsonb_build_object('uuid', c.uuid,
            'offerings', customer_credit_as_recorded(c) -> 'offerings'))
    FROM customer_credits AS c, LATERAL (
        SELECT coalesce(jsonb_agg(o.uuid ORDER BY o.uuid), '[]') AS offerings
        FROM (
            SELECT offering_id FROM customer_credit_offerings
            WHERE customer_credit_id = $1 AND offering_id <> ALL ($3)
            UNION SELECT unnest($2)
        ) AS paid LEFT JOIN offerings AS o ON o.id = paid.offering_id
    ) AS before
    WHERE c.id = $1;
END
$$
""",
    """
CREATE FUNCTION record_credit_offerings() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM record_offerings(n.customer_credit_id, '{}', array_agg(n.offering_id))
        FROM new_rows AS n GROUP BY n.customer_credit_id;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM record_offerings(o.customer_credit_id, array_agg(o.offering_id), '{}')
        FROM old_rows AS o GROUP BY o.customer_credit_id;
    ELSE
        PERFORM record_offerings(
            moved.customer_credit_id,
            coalesce(array_agg(moved.offering_id) FILTER (WHERE moved.is_old), '{}'),
            coalesce(array_agg(moved.offering_id) FILTER (WHERE NOT moved.is_old), '{}')
        )
        FROM (SELECT *, true AS is_old FROM old_rows
              UNION ALL SELECT *, false FROM new_rows) AS moved
        GROUP BY moved.customer_credit_id;
    END IF;
    RETURN NULL;
END
$$
""",
    """
CREATE TRIGGER record_subject AFTER INSERT OR UPDATE ON customer_credits
    FOR EACH ROW EXECUTE FUNCTION record_customer_credit()
""",
    """
CREATE TRIGGER record_gone_subject BEFORE DELETE ON customer_credits
    FOR EACH ROW EXECUTE FUNCTION record_customer_credit()
""",
    """
CREATE TRIGGER record_new_offerings AFTER INSERT ON customer_credit_offerings
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_credit_offerings()
""",
    """
CREATE TRIGGER record_gone_offerings AFTER DELETE ON customer_credit_offerings
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_credit_offerings()
""",
    """
CREATE TRIGGER record_changed_offerings AFTER UPDATE ON customer_credit_offerings
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_credit_offerings()
""",
    """
CREATE TRIGGER record_subject AFTER INSERT OR UPDATE OR DELETE ON project_credits
    FOR EACH ROW EXECUTE FUNCTION record_project_credit()
""",
    """
CREATE TRIGGER record_subject AFTER INSERT OR UPDATE OR DELETE ON customer_affiliates
    FOR EACH ROW EXECUTE FUNCTION record_customer_affiliate()
""",
    """
CREATE TRIGGER record_subject AFTER INSERT OR UPDATE OR DELETE ON payment_profiles
    FOR EACH ROW EXECUTE FUNCTION record_payment_profile()
""",
    """
CREATE TRIGGER record_subject AFTER INSERT OR UPDATE OR DELETE ON payments
    FOR EACH ROW EXECUTE FUNCTION record_payment()
""",
    """
CREATE TRIGGER only_add BEFORE UPDATE OR DELETE OR TRUNCATE ON subject_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_history()
""",
    """
CREATE TRIGGER only_add BEFORE UPDATE OR DELETE OR TRUNCATE ON subject_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_history()
""",
)
FUNCTIONS: Final = (
    "customer_credit_as_recorded(customer_credits)",
    "project_credit_as_recorded(project_credits)",
    "customer_affiliate_as_recorded(customer_affiliates)",
    "payment_profile_as_recorded(payment_profiles)",
    "linked_payment_as_recorded(payments)",
    "subject_as_recorded(text, uuid)",
    "record_subject(text, jsonb, jsonb)",
    "record_customer_credit()",
    "record_project_credit()",
    "record_customer_affiliate()",
    "record_payment_profile()",
    "record_payment()",
    "record_offerings(bigint, bigint[], bigint[])",
    "record_credit_offerings()",
)
TRIGGERS: Final = (
    ("record_subject", "customer_credits"),
    ("record_gone_subject", "customer_credits"),
    ("record_new_offerings", "customer_credit_offerings"),
    ("record_gone_offerings", "customer_credit_offerings"),
    ("record_changed_offerings", "customer_credit_offerings"),
    ("record_subject", "project_credits"),
    ("record_subject", "customer_affiliates"),
    ("record_subject", "payment_profiles"),
    ("record_subject", "payments"),
)


def upgrade() -> None:
    op.create_table(
        "subject_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("change", sa.Uuid(), nullable=False),
        sa.Column("subject_uuid", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("was", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("became", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.CheckConstraint(KINDS, name=op.f("ck_subject_changes_kind_is_known")),
        sa.CheckConstraint(
            "num_nulls(was, became) < 2", name=op.f("ck_subject_changes_something_was_or_became")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subject_changes")),
    )
    op.create_index("ix_subject_changes_change", "subject_changes", ["change"])
    op.create_table(
        "subject_history",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("change", sa.Uuid(), nullable=False),
        sa.Column("subject_uuid", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("operation", sa.Text(), server_default="", nullable=False),
        sa.Column("user_uuid", sa.Uuid(), nullable=True),
        sa.Column("username", sa.Text(), server_default="", nullable=False),
        sa.Column("token", sa.Text(), server_default="", nullable=False),
        sa.Column("request_id", sa.Text(), server_default="", nullable=False),
        sa.Column("impersonator_uuid", sa.Uuid(), nullable=True),
        sa.Column("impersonator_username", sa.Text(), server_default="", nullable=False),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.Column("data", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(KINDS, name=op.f("ck_subject_history_kind_is_known")),
        sa.CheckConstraint(
            "sequence > 0", name=op.f("ck_subject_history_sequence_is_counted_from_one")
        ),
        sa.CheckConstraint(
            "\"recorded_at\" BETWEEN '0001-01-01 00:00:00+00'"
            " AND '9999-12-31 23:59:59.999999+00'",
            name=op.f("ck_subject_history_dates_are_in_range"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subject_history")),
        sa.UniqueConstraint(
            "subject_uuid", "kind", "sequence",
            name=op.f("uq_subject_history_subject_uuid_kind_sequence"),
        ),
        sa.UniqueConstraint(
            "change", "subject_uuid", "kind",
            name=op.f("uq_subject_history_change_subject_uuid_kind"),
        ),
    )  # fmt: skip
    op.create_table(
        "subject_heads",
        sa.Column("subject_uuid", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("history_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("history_head", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(KINDS, name=op.f("ck_subject_heads_kind_is_known")),
        sa.PrimaryKeyConstraint("subject_uuid", "kind", name=op.f("pk_subject_heads")),
    )
    for statement in CREATED:
        op.execute(statement)


def downgrade() -> None:
    for name, table in TRIGGERS:
        op.execute(f"DROP TRIGGER {name} ON {table}")
    for table in ("subject_changes", "subject_history", "subject_heads"):
        op.drop_table(table)
    for function in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {function}")

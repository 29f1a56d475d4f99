-- Every change of a credit, a customer's affiliate, a payment profile, a payment or a credit note
-- leaves rows in `subject_changes`, whoever makes it. The service seals them with entries in `subject_history`
-- (app/audit/writer.py). See docs/audit.md.

-- What the record holds of a subject. References are recorded by UUID, as in the record of invoices.
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
$$;

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
$$;

CREATE FUNCTION customer_affiliate_as_recorded(given customer_affiliates) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'uuid', given."uuid", 'fee_percent', given."fee_percent", 'is_active', given."is_active",
        'start_date', given."start_date", 'end_date', given."end_date",
        'created_at', given."created_at",
        'customer', (SELECT uuid FROM customers WHERE id = given.customer_id),
        'affiliate', (SELECT uuid FROM customers WHERE id = given.affiliate_id)
    )
$$;

CREATE FUNCTION payment_profile_as_recorded(given payment_profiles) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'uuid', given."uuid", 'name', given."name", 'payment_type', given."payment_type",
        'attributes', given."attributes", 'is_active', given."is_active",
        'customer', (SELECT uuid FROM customers WHERE id = given.customer_id)
    )
$$;

-- The record of an invoice has the payment without its invoice.
CREATE FUNCTION recorded_linked_payment(given payments, profile uuid, invoice uuid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT recorded_payment(given, profile) || jsonb_build_object('invoice', invoice)
$$;

CREATE FUNCTION linked_payment_as_recorded(given payments) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT recorded_linked_payment(
        given,
        (SELECT uuid FROM payment_profiles WHERE id = given.profile_id),
        (SELECT uuid FROM invoices WHERE id = given.invoice_id)
    )
$$;

-- The content and the lines of a credit note are recorded by their digest.
CREATE FUNCTION credit_note_as_recorded(given credit_notes) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'uuid', given."uuid", 'number', given."number", 'issue_date', given."issue_date",
        'reason', given."reason", 'net', given."net", 'gross', given."gross",
        'digest', encode(given."digest", 'hex'),
        'invoice', (SELECT uuid FROM invoices WHERE id = given.invoice_id)
    )
$$;

-- Returns the present row of a subject; null if it does not exist. Its plans are kept while the
-- tables grow, and must not scan one that is still empty.
CREATE FUNCTION subject_as_recorded(kind text, subject uuid) RETURNS jsonb LANGUAGE plpgsql STABLE
SET timezone = 'UTC' SET enable_seqscan = off AS $$
BEGIN
    CASE kind
        WHEN 'customer_credit' THEN
            RETURN (
                SELECT customer_credit_as_recorded(r) FROM customer_credits AS r
                WHERE r.uuid = subject
            );
        WHEN 'project_credit' THEN
            RETURN (
                SELECT project_credit_as_recorded(r) FROM project_credits AS r
                WHERE r.uuid = subject
            );
        WHEN 'customer_affiliate' THEN
            RETURN (
                SELECT customer_affiliate_as_recorded(r) FROM customer_affiliates AS r
                WHERE r.uuid = subject
            );
        WHEN 'payment_profile' THEN
            RETURN (
                SELECT payment_profile_as_recorded(r) FROM payment_profiles AS r
                WHERE r.uuid = subject
            );
        WHEN 'payment' THEN
            RETURN (
                SELECT recorded_linked_payment(
                    r,
                    (SELECT uuid FROM payment_profiles WHERE id = r.profile_id),
                    (SELECT uuid FROM invoices WHERE id = r.invoice_id)
                )
                FROM payments AS r WHERE r.uuid = subject
            );
        WHEN 'credit_note' THEN
            RETURN (
                SELECT credit_note_as_recorded(r) FROM credit_notes AS r WHERE r.uuid = subject
            );
        ELSE
            RETURN NULL;
    END CASE;
END
$$;

-- Records the fields of a subject that change, before and after; of a new or a deleted one all.
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
$$;

-- Hold true: each insert, update and delete of a subject is recorded. New payments are recorded by
-- one statement, since a statement may insert many.
CREATE FUNCTION record_customer_credit() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    PERFORM record_subject('customer_credit',
        CASE WHEN TG_OP <> 'INSERT' THEN customer_credit_as_recorded(OLD) END,
        CASE WHEN TG_OP <> 'DELETE' THEN customer_credit_as_recorded(NEW) END);
    RETURN OLD;
END
$$;

CREATE FUNCTION record_project_credit() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    PERFORM record_subject('project_credit',
        CASE WHEN TG_OP <> 'INSERT' THEN project_credit_as_recorded(OLD) END,
        CASE WHEN TG_OP <> 'DELETE' THEN project_credit_as_recorded(NEW) END);
    RETURN NULL;
END
$$;

CREATE FUNCTION record_customer_affiliate() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    PERFORM record_subject('customer_affiliate',
        CASE WHEN TG_OP <> 'INSERT' THEN customer_affiliate_as_recorded(OLD) END,
        CASE WHEN TG_OP <> 'DELETE' THEN customer_affiliate_as_recorded(NEW) END);
    RETURN NULL;
END
$$;

CREATE FUNCTION record_payment_profile() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    PERFORM record_subject('payment_profile',
        CASE WHEN TG_OP <> 'INSERT' THEN payment_profile_as_recorded(OLD) END,
        CASE WHEN TG_OP <> 'DELETE' THEN payment_profile_as_recorded(NEW) END);
    RETURN NULL;
END
$$;

CREATE FUNCTION record_changed_payment_subject() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    PERFORM record_subject('payment',
        linked_payment_as_recorded(OLD),
        CASE WHEN TG_OP <> 'DELETE' THEN linked_payment_as_recorded(NEW) END);
    RETURN NULL;
END
$$;

CREATE FUNCTION record_new_payment_subjects() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO subject_changes (change, subject_uuid, kind, became)
    SELECT (SELECT current_change()), n.uuid, 'payment',
           recorded_linked_payment(
               n::payments,
               (SELECT uuid FROM payment_profiles WHERE id = n.profile_id),
               (SELECT uuid FROM invoices WHERE id = n.invoice_id)
           )
    FROM new_rows AS n;
    RETURN NULL;
END
$$;

CREATE FUNCTION record_credit_note() RETURNS trigger LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
BEGIN
    PERFORM record_subject('credit_note',
        CASE WHEN TG_OP <> 'INSERT' THEN credit_note_as_recorded(OLD) END,
        CASE WHEN TG_OP <> 'DELETE' THEN credit_note_as_recorded(NEW) END);
    RETURN NULL;
END
$$;

-- Records that a credit has lost and gained offerings. An offering that is itself deleted has no
-- UUID any more, and is recorded as null.
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
$$;

-- Holds true: each statement that changes the offerings of a credit is recorded for the credit. The
-- offerings that a deleted credit takes along are in the record of its deletion.
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
$$;

CREATE TRIGGER record_subject AFTER INSERT OR UPDATE ON customer_credits
    FOR EACH ROW EXECUTE FUNCTION record_customer_credit();

-- Before the delete, since afterwards the credit has no offerings.
CREATE TRIGGER record_gone_subject BEFORE DELETE ON customer_credits
    FOR EACH ROW EXECUTE FUNCTION record_customer_credit();

CREATE TRIGGER record_new_offerings AFTER INSERT ON customer_credit_offerings
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_credit_offerings();

CREATE TRIGGER record_gone_offerings AFTER DELETE ON customer_credit_offerings
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_credit_offerings();

CREATE TRIGGER record_changed_offerings AFTER UPDATE ON customer_credit_offerings
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_credit_offerings();

CREATE TRIGGER record_subject AFTER INSERT OR UPDATE OR DELETE ON project_credits
    FOR EACH ROW EXECUTE FUNCTION record_project_credit();

CREATE TRIGGER record_subject AFTER INSERT OR UPDATE OR DELETE ON customer_affiliates
    FOR EACH ROW EXECUTE FUNCTION record_customer_affiliate();

CREATE TRIGGER record_subject AFTER INSERT OR UPDATE OR DELETE ON payment_profiles
    FOR EACH ROW EXECUTE FUNCTION record_payment_profile();

CREATE TRIGGER record_subject AFTER UPDATE OR DELETE ON payments
    FOR EACH ROW EXECUTE FUNCTION record_changed_payment_subject();

CREATE TRIGGER record_new_subjects AFTER INSERT ON payments
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_new_payment_subjects();

CREATE TRIGGER record_subject AFTER INSERT OR UPDATE OR DELETE ON credit_notes
    FOR EACH ROW EXECUTE FUNCTION record_credit_note();

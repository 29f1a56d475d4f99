-- An invoice with a frozen document does not change: `invoices.document_version` names it. See
-- docs/decisions/0023-frozen-documents.md.

-- Whether the transaction may replace documents, as an import does. A changed invoice then loses its
-- document, which remains in the table, and is frozen again under the next version.
CREATE FUNCTION replaces_documents() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(current_setting('invoicing.replaces_documents', true), '') = 'on'
$$;

-- Holds true: the items of an invoice with a document do not change, come or go, not even by another
-- key, under which the document would not have them. Only the credit of a compensation may be removed. A deleted invoice takes its items along. The invoices are locked, so
-- that none is frozen while its items change.
CREATE FUNCTION hold_frozen_items() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed bigint[];
    frozen bigint[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        changed := ARRAY(SELECT DISTINCT invoice_id FROM new_items);
    ELSIF TG_OP = 'DELETE' THEN
        changed := ARRAY(SELECT DISTINCT invoice_id FROM old_items);
    ELSE
        changed := ARRAY(
            SELECT DISTINCT unnest(ARRAY[n.invoice_id, o.invoice_id])
            FROM new_items AS n FULL JOIN old_items AS o USING (id)
            WHERE (n.invoice_id, n.uuid, n.name, n.unit_price, n.quantity, n.unit, n.measured_unit,
                   n.article_code, n.start, n."end", n.project_id, n.project_name, n.project_uuid,
                   n.resource_id, n.offering_id, n.plan_component_id, n.details, n.backend_uuid,
                   n.credit, n.price)
                IS DISTINCT FROM
                  (o.invoice_id, o.uuid, o.name, o.unit_price, o.quantity, o.unit, o.measured_unit,
                   o.article_code, o.start, o."end", o.project_id, o.project_name, o.project_uuid,
                   o.resource_id, o.offering_id, o.plan_component_id, o.details, o.backend_uuid,
                   o.credit, o.price)
        );
    END IF;
    IF changed = '{}' THEN
        RETURN NULL;
    END IF;
    PERFORM FROM invoices WHERE id = ANY (changed) ORDER BY id FOR NO KEY UPDATE;
    frozen := ARRAY(
        SELECT id FROM invoices WHERE id = ANY (changed) AND document_version IS NOT NULL
    );
    IF frozen = '{}' THEN
        RETURN NULL;
    END IF;
    IF NOT replaces_documents() THEN
        RAISE EXCEPTION 'the items of an issued invoice do not change'
            USING ERRCODE = 'restrict_violation', TABLE = 'invoice_items',
                  CONSTRAINT = 'frozen_items';
    END IF;
    UPDATE invoices SET document_version = NULL WHERE id = ANY (frozen);
    RETURN NULL;
END
$$;

-- Holds true: the items of invoices with documents are not cut off, of which no statement has the rows.
CREATE FUNCTION refuse_to_truncate_frozen_items() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM invoices WHERE document_version IS NOT NULL) THEN
        RAISE EXCEPTION 'the items of an issued invoice do not change'
            USING ERRCODE = 'restrict_violation', TABLE = 'invoice_items',
                  CONSTRAINT = 'frozen_items';
    END IF;
    RETURN NULL;
END
$$;

-- Holds true: an invoice with a document keeps its customer, number, dates and tax, stays issued, and
-- keeps the document or gets one that completes it.
CREATE FUNCTION hold_frozen_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT replaces_documents() THEN
        RAISE EXCEPTION 'an issued invoice does not change'
            USING ERRCODE = 'restrict_violation', TABLE = 'invoices',
                  CONSTRAINT = 'frozen_invoice';
    END IF;
    NEW.document_version := NULL;
    RETURN NEW;
END
$$;

-- Holds true: the totals of an invoice with a document remain the sums of its items, which do not
-- change. A total that drifted while triggers were disabled can be corrected.
CREATE FUNCTION hold_frozen_totals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.total_price, NEW.incurred_costs, NEW.compensations) <> (
        SELECT coalesce(sum(price), 0),
               coalesce(sum(unit_price * quantity) FILTER (WHERE NOT credit), 0),
               coalesce(sum(unit_price * quantity) FILTER (WHERE credit), 0)
        FROM invoice_items WHERE invoice_id = NEW.id
    ) THEN
        RAISE EXCEPTION 'the totals of an issued invoice do not change'
            USING ERRCODE = 'restrict_violation', TABLE = 'invoices',
                  CONSTRAINT = 'frozen_totals';
    END IF;
    RETURN NEW;
END
$$;

-- Adds the next version of a document: another head, the same lines. Returns the version.
CREATE FUNCTION add_document_version(invoice bigint, present integer, head jsonb) RETURNS integer
LANGUAGE sql AS $$
    INSERT INTO invoice_documents (
        invoice_id, version, lines_version, completed_version, content, digest
    )
    SELECT invoice_id, version + 1, lines_version, CASE
        WHEN head - payment.keys = content - payment.keys THEN completed_version
        ELSE version + 1
    END, head, sha256(
        convert_to(head::text, 'UTF8') || (
            SELECT coalesce(string_agg(lines.digest, '' ORDER BY lines.first_item_id), '')
            FROM document_lines AS lines
            WHERE lines.invoice_id = document.invoice_id
                AND lines.version = document.lines_version
        )
    )
    FROM invoice_documents AS document,
        (SELECT ARRAY['payment_url', 'reference_number'] AS keys) AS payment
    WHERE invoice_id = invoice AND version = present
    RETURNING version
$$;

-- Whether a value differs from an earlier one by filled in texts alone.
CREATE FUNCTION only_fills(earlier jsonb, filled jsonb) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF jsonb_typeof(earlier) = 'object' AND jsonb_typeof(filled) = 'object' THEN
        RETURN NOT EXISTS (
            SELECT FROM jsonb_each(earlier) AS was
            FULL JOIN jsonb_each(filled) AS became USING (key)
            WHERE NOT only_fills(was.value, became.value)
        );
    END IF;
    RETURN coalesce(
        earlier = filled
        OR coalesce(btrim(earlier #>> '{}'), '') = '' AND jsonb_typeof(filled) = 'string',
        false
    );
END
$$;

-- Whether the next version of a document only fills in values of customer and issuer.
CREATE FUNCTION completes_document(invoice bigint, present integer, next integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM invoice_documents AS was
        JOIN invoice_documents AS became USING (invoice_id, lines_version)
        CROSS JOIN (
            SELECT ARRAY['seller', 'buyer', 'api', 'tax_category', 'tax_exemption_code',
                         'tax_exemption_reason', 'buyer_reference', 'order_reference',
                         'agreement_number'] AS filled
        ) AS keys
        WHERE invoice_id = invoice AND was.version = present AND became.version = next
            AND next = present + 1
            AND was.content - keys.filled = became.content - keys.filled
            AND only_fills(
                was.content #- '{api,issuer_details}', became.content #- '{api,issuer_details}'
            )
            AND only_fills(
                (was.content #>> '{api,issuer_details}')::jsonb,
                (became.content #>> '{api,issuer_details}')::jsonb
            )
    )
$$;

-- Holds true: the document has the payment URL and the reference number of the invoice. Another one
-- makes a further version.
CREATE FUNCTION follow_payment_details() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.document_version := (
        SELECT add_document_version(invoice_id, version, content || jsonb_build_object(
            'payment_url', NEW.payment_url, 'reference_number', NEW.reference_number
        ))
        FROM invoice_documents
        WHERE invoice_id = NEW.id AND version = NEW.document_version
    );
    RETURN NEW;
END
$$;

CREATE TRIGGER hold_frozen_on_delete AFTER DELETE ON invoice_items
    REFERENCING OLD TABLE AS old_items
    FOR EACH STATEMENT EXECUTE FUNCTION hold_frozen_items();

CREATE TRIGGER hold_frozen_on_insert AFTER INSERT ON invoice_items
    REFERENCING NEW TABLE AS new_items
    FOR EACH STATEMENT EXECUTE FUNCTION hold_frozen_items();

CREATE TRIGGER hold_frozen_on_update AFTER UPDATE ON invoice_items
    REFERENCING OLD TABLE AS old_items NEW TABLE AS new_items
    FOR EACH STATEMENT EXECUTE FUNCTION hold_frozen_items();

CREATE TRIGGER hold_frozen_on_truncate BEFORE TRUNCATE ON invoice_items
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_truncate_frozen_items();

CREATE TRIGGER document_1_hold BEFORE UPDATE ON invoices
    FOR EACH ROW
    WHEN (OLD.document_version IS NOT NULL AND (
        NEW.document_version IS DISTINCT FROM OLD.document_version
            AND NOT completes_document(OLD.id, OLD.document_version, NEW.document_version)
        OR NEW.state IN ('pending', 'pending_finalization')
        OR NEW.uuid IS DISTINCT FROM OLD.uuid
        OR NEW.customer_id IS DISTINCT FROM OLD.customer_id
        OR NEW.number IS DISTINCT FROM OLD.number
        OR NEW.year IS DISTINCT FROM OLD.year
        OR NEW.month IS DISTINCT FROM OLD.month
        OR NEW.tax_percent IS DISTINCT FROM OLD.tax_percent
        OR NEW.created IS DISTINCT FROM OLD.created
        OR NEW.invoice_date IS DISTINCT FROM OLD.invoice_date
        OR NEW.due_date IS DISTINCT FROM OLD.due_date))
    EXECUTE FUNCTION hold_frozen_invoice();

CREATE TRIGGER document_2_follow BEFORE UPDATE ON invoices
    FOR EACH ROW
    WHEN (NEW.document_version IS NOT NULL AND OLD.document_version IS NOT NULL AND (
        NEW.payment_url IS DISTINCT FROM OLD.payment_url
        OR NEW.reference_number IS DISTINCT FROM OLD.reference_number))
    EXECUTE FUNCTION follow_payment_details();

CREATE TRIGGER document_3_hold_totals BEFORE UPDATE ON invoices
    FOR EACH ROW
    WHEN (NEW.document_version IS NOT NULL AND (
        NEW.total_price IS DISTINCT FROM OLD.total_price
        OR NEW.incurred_costs IS DISTINCT FROM OLD.incurred_costs
        OR NEW.compensations IS DISTINCT FROM OLD.compensations))
    EXECUTE FUNCTION hold_frozen_totals();

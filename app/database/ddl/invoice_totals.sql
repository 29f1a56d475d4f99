-- The totals of an invoice always equal the sums over its items, whoever changes the items: the
-- service, an import or SQL by hand. See docs/decisions/0001-totals-by-triggers.md.

-- Holds true: `total_price` is the sum of the items' prices, `incurred_costs` and `compensations`
-- the sums of unit price times quantity of the charges and of the credits. The function adds
-- differences, so that two transactions that add items to one invoice at the same time both count.
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
$$;

-- Holds true: `total_cost` is `total_price` with tax, rounded half up to the currency's decimals.
CREATE FUNCTION keep_total_cost() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.total_cost := round(
        NEW.total_price * (100 + NEW.tax_percent) * 0.01, (SELECT decimals FROM currency)
    );
    RETURN NEW;
END
$$;

CREATE TRIGGER keep_totals_on_delete AFTER DELETE ON invoice_items
    REFERENCING OLD TABLE AS old_items
    FOR EACH STATEMENT EXECUTE FUNCTION keep_invoice_totals();

CREATE TRIGGER keep_totals_on_insert AFTER INSERT ON invoice_items
    REFERENCING NEW TABLE AS new_items
    FOR EACH STATEMENT EXECUTE FUNCTION keep_invoice_totals();

CREATE TRIGGER keep_totals_on_update AFTER UPDATE ON invoice_items
    REFERENCING OLD TABLE AS old_items NEW TABLE AS new_items
    FOR EACH STATEMENT EXECUTE FUNCTION keep_invoice_totals();

CREATE TRIGGER keep_total_cost_on_insert BEFORE INSERT ON invoices
    FOR EACH ROW EXECUTE FUNCTION keep_total_cost();

CREATE TRIGGER keep_total_cost_on_update BEFORE UPDATE ON invoices
    FOR EACH ROW
    WHEN (NEW.total_price IS DISTINCT FROM OLD.total_price
          OR NEW.tax_percent IS DISTINCT FROM OLD.tax_percent
          OR NEW.total_cost IS DISTINCT FROM OLD.total_cost)
    EXECUTE FUNCTION keep_total_cost();

-- Summaries keep counts and sums of invoices beside the rows, so that lists and growth need not
-- read every invoice. See docs/decisions/0011-summaries.md.

-- Hold true: the rows of `invoice_tallies` for a year, month and state add up to the number of its
-- invoices and their sums. The function only inserts differences, so that no transaction waits for
-- another one's commit; a job merges the rows. And `customer_year_totals` counts and sums each
-- customer's invoices created since its day `since`.
CREATE FUNCTION tally_invoices() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    added invoices[];
    removed invoices[];
    affected bigint[];
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NOT EXISTS (
            SELECT id, year, month, state, total_price, total_cost, customer_id, created
            FROM new_invoices
            EXCEPT
            SELECT id, year, month, state, total_price, total_cost, customer_id, created
            FROM old_invoices
        ) THEN
            RETURN NULL;
        END IF;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        added := ARRAY(SELECT n::invoices FROM new_invoices AS n);
    END IF;
    IF TG_OP <> 'INSERT' THEN
        removed := ARRAY(SELECT o::invoices FROM old_invoices AS o);
    END IF;

    INSERT INTO invoice_tallies (year, month, state, invoices, price, cost)
    SELECT year, month, state, sum(sign), sum(sign * total_price), sum(sign * total_cost)
    FROM (
        SELECT 1 AS sign, year, month, state, total_price, total_cost FROM unnest(added)
        UNION ALL
        SELECT -1, year, month, state, total_price, total_cost FROM unnest(removed)
    ) AS change
    GROUP BY year, month, state
    HAVING sum(sign) <> 0 OR sum(sign * total_price) <> 0 OR sum(sign * total_cost) <> 0
    ORDER BY year, month, state;

    -- Other updates, such as that of a state, must not wait for a customer's row.
    affected := ARRAY(
        SELECT DISTINCT customer_id
        FROM (
            SELECT id, customer_id, created, total_cost FROM unnest(added)
            UNION ALL
            SELECT id, customer_id, created, total_cost FROM unnest(removed)
        ) AS change
        GROUP BY id, customer_id, created, total_cost
        HAVING count(*) = 1
        ORDER BY customer_id
    );
    IF affected = '{}' THEN
        RETURN NULL;
    END IF;

    INSERT INTO customer_year_totals (customer_id, since, invoices, total)
    SELECT customer_id, date((now() AT TIME ZONE 'UTC') - interval '1 year'), 0, 0
    FROM unnest(affected) AS customer_id
    ON CONFLICT DO NOTHING;

    -- Lock the rows first: the next statement must see the latest `since` of each.
    PERFORM FROM customer_year_totals
    WHERE customer_id = ANY (affected)
    ORDER BY customer_id
    FOR NO KEY UPDATE;

    UPDATE customer_year_totals AS kept
    SET invoices = kept.invoices + change.invoices, total = kept.total + change.total
    FROM (
        SELECT customer_id, sum(sign) AS invoices, sum(sign * total_cost) AS total
        FROM (
            SELECT 1 AS sign, customer_id, created, total_cost FROM unnest(added)
            UNION ALL
            SELECT -1, customer_id, created, total_cost FROM unnest(removed)
        ) AS change
        JOIN customer_year_totals USING (customer_id)
        WHERE created >= since AND customer_id = ANY (affected)
        GROUP BY customer_id
    ) AS change
    WHERE kept.customer_id = change.customer_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER tally_on_delete AFTER DELETE ON invoices
    REFERENCING OLD TABLE AS old_invoices
    FOR EACH STATEMENT EXECUTE FUNCTION tally_invoices();

CREATE TRIGGER tally_on_insert AFTER INSERT ON invoices
    REFERENCING NEW TABLE AS new_invoices
    FOR EACH STATEMENT EXECUTE FUNCTION tally_invoices();

CREATE TRIGGER tally_on_update AFTER UPDATE ON invoices
    REFERENCING OLD TABLE AS old_invoices NEW TABLE AS new_invoices
    FOR EACH STATEMENT EXECUTE FUNCTION tally_invoices();

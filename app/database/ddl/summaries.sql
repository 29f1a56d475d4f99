-- Summaries keep counts and sums of invoices beside the rows, so that lists and growth need not
-- read every invoice. See docs/decisions/0011-summaries.md.

-- Hold true: the rows of `invoice_tallies` for a year, month and state add up to the number of its
-- invoices and their sums. The functions only insert differences, so that no transaction waits for
-- another one's commit; a job merges the rows. And `customer_year_totals` counts and sums each
-- customer's invoices created since its day `since`. There is one function for each operation,
-- since each has other transition tables. An update counts only rows whose summarised columns
-- change.
CREATE FUNCTION tally_invoices_on_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO invoice_tallies (year, month, state, invoices, price, cost)
    SELECT year, month, state, sum(sign), sum(sign * total_price), sum(sign * total_cost)
    FROM (SELECT 1 AS sign, year, month, state, total_price, total_cost FROM new_invoices) AS change
    GROUP BY year, month, state
    HAVING sum(sign) <> 0 OR sum(sign * total_price) <> 0 OR sum(sign * total_cost) <> 0
    ORDER BY year, month, state;

    INSERT INTO customer_year_totals (customer_id, since, invoices, total)
    SELECT DISTINCT customer_id, date((now() AT TIME ZONE 'UTC') - interval '1 year'), 0, 0
    FROM (SELECT 1 AS sign, customer_id, created, total_cost FROM new_invoices) AS change
    ORDER BY customer_id
    ON CONFLICT DO NOTHING;

    -- Lock the rows first: the next statement must see the latest `since` of each.
    PERFORM FROM customer_year_totals
    WHERE customer_id IN (
        SELECT customer_id
        FROM (SELECT 1 AS sign, customer_id, created, total_cost FROM new_invoices) AS change
    )
    ORDER BY customer_id
    FOR NO KEY UPDATE;

    UPDATE customer_year_totals AS kept
    SET invoices = kept.invoices + added.invoices, total = kept.total + added.total
    FROM (
        SELECT customer_id, sum(sign) AS invoices, sum(sign * total_cost) AS total
        FROM (SELECT 1 AS sign, customer_id, created, total_cost FROM new_invoices) AS change
        JOIN customer_year_totals USING (customer_id)
        WHERE created >= since
        GROUP BY customer_id
    ) AS added
    WHERE kept.customer_id = added.customer_id;
    RETURN NULL;
END
$$;

CREATE FUNCTION tally_invoices_on_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO invoice_tallies (year, month, state, invoices, price, cost)
    SELECT year, month, state, sum(sign), sum(sign * total_price), sum(sign * total_cost)
    FROM (
        SELECT -1 AS sign, year, month, state, total_price, total_cost FROM old_invoices
    ) AS change
    GROUP BY year, month, state
    HAVING sum(sign) <> 0 OR sum(sign * total_price) <> 0 OR sum(sign * total_cost) <> 0
    ORDER BY year, month, state;

    INSERT INTO customer_year_totals (customer_id, since, invoices, total)
    SELECT DISTINCT customer_id, date((now() AT TIME ZONE 'UTC') - interval '1 year'), 0, 0
    FROM (SELECT -1 AS sign, customer_id, created, total_cost FROM old_invoices) AS change
    ORDER BY customer_id
    ON CONFLICT DO NOTHING;

    -- Lock the rows first: the next statement must see the latest `since` of each.
    PERFORM FROM customer_year_totals
    WHERE customer_id IN (
        SELECT customer_id
        FROM (SELECT -1 AS sign, customer_id, created, total_cost FROM old_invoices) AS change
    )
    ORDER BY customer_id
    FOR NO KEY UPDATE;

    UPDATE customer_year_totals AS kept
    SET invoices = kept.invoices + added.invoices, total = kept.total + added.total
    FROM (
        SELECT customer_id, sum(sign) AS invoices, sum(sign * total_cost) AS total
        FROM (SELECT -1 AS sign, customer_id, created, total_cost FROM old_invoices) AS change
        JOIN customer_year_totals USING (customer_id)
        WHERE created >= since
        GROUP BY customer_id
    ) AS added
    WHERE kept.customer_id = added.customer_id;
    RETURN NULL;
END
$$;

CREATE FUNCTION tally_invoices_on_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO invoice_tallies (year, month, state, invoices, price, cost)
    SELECT year, month, state, sum(sign), sum(sign * total_price), sum(sign * total_cost)
    FROM (
        (SELECT 1 AS sign, year, month, state, total_price, total_cost, id FROM new_invoices
         EXCEPT SELECT 1, year, month, state, total_price, total_cost, id FROM old_invoices)
        UNION ALL
        (SELECT -1, year, month, state, total_price, total_cost, id FROM old_invoices
         EXCEPT SELECT -1, year, month, state, total_price, total_cost, id FROM new_invoices)
    ) AS change
    GROUP BY year, month, state
    HAVING sum(sign) <> 0 OR sum(sign * total_price) <> 0 OR sum(sign * total_cost) <> 0
    ORDER BY year, month, state;

    INSERT INTO customer_year_totals (customer_id, since, invoices, total)
    SELECT DISTINCT customer_id, date((now() AT TIME ZONE 'UTC') - interval '1 year'), 0, 0
    FROM (
        (SELECT 1 AS sign, customer_id, created, total_cost, id FROM new_invoices
         EXCEPT SELECT 1, customer_id, created, total_cost, id FROM old_invoices)
        UNION ALL
        (SELECT -1, customer_id, created, total_cost, id FROM old_invoices
         EXCEPT SELECT -1, customer_id, created, total_cost, id FROM new_invoices)
    ) AS change
    ORDER BY customer_id
    ON CONFLICT DO NOTHING;

    -- Lock the rows first: the next statement must see the latest `since` of each.
    PERFORM FROM customer_year_totals
    WHERE customer_id IN (SELECT customer_id FROM (
        (SELECT 1 AS sign, customer_id, created, total_cost, id FROM new_invoices
         EXCEPT SELECT 1, customer_id, created, total_cost, id FROM old_invoices)
        UNION ALL
        (SELECT -1, customer_id, created, total_cost, id FROM old_invoices
         EXCEPT SELECT -1, customer_id, created, total_cost, id FROM new_invoices)
    ) AS change)
    ORDER BY customer_id
    FOR NO KEY UPDATE;

    UPDATE customer_year_totals AS kept
    SET invoices = kept.invoices + added.invoices, total = kept.total + added.total
    FROM (
        SELECT customer_id, sum(sign) AS invoices, sum(sign * total_cost) AS total
        FROM (
        (SELECT 1 AS sign, customer_id, created, total_cost, id FROM new_invoices
         EXCEPT SELECT 1, customer_id, created, total_cost, id FROM old_invoices)
        UNION ALL
        (SELECT -1, customer_id, created, total_cost, id FROM old_invoices
         EXCEPT SELECT -1, customer_id, created, total_cost, id FROM new_invoices)
    ) AS change
        JOIN customer_year_totals USING (customer_id)
        WHERE created >= since
        GROUP BY customer_id
    ) AS added
    WHERE kept.customer_id = added.customer_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER tally_on_delete AFTER DELETE ON invoices
    REFERENCING OLD TABLE AS old_invoices
    FOR EACH STATEMENT EXECUTE FUNCTION tally_invoices_on_delete();

CREATE TRIGGER tally_on_insert AFTER INSERT ON invoices
    REFERENCING NEW TABLE AS new_invoices
    FOR EACH STATEMENT EXECUTE FUNCTION tally_invoices_on_insert();

CREATE TRIGGER tally_on_update AFTER UPDATE ON invoices
    REFERENCING OLD TABLE AS old_invoices NEW TABLE AS new_invoices
    FOR EACH STATEMENT EXECUTE FUNCTION tally_invoices_on_update();

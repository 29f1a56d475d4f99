-- Row counts keep the number of rows of large tables beside them, so that a list of all rows shows
-- its length without a scan. See docs/decisions/0011-summaries.md.

-- Holds true: the rows of `row_counts` for a table add up to the number of the table's rows. The
-- function only inserts differences, so that no transaction waits for another one's commit; a job
-- merges the rows. A table is counted once it has both triggers and its first count.
CREATE FUNCTION count_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO row_counts (counted_table, number)
    SELECT TG_TABLE_NAME, CASE TG_OP WHEN 'INSERT' THEN count(*) ELSE -count(*) END
    FROM changed
    HAVING count(*) > 0;
    RETURN NULL;
END
$$;

CREATE TRIGGER count_rows_on_delete AFTER DELETE ON customers
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_rows();

CREATE TRIGGER count_rows_on_insert AFTER INSERT ON customers
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_rows();

CREATE TRIGGER count_rows_on_delete AFTER DELETE ON invoice_items
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_rows();

CREATE TRIGGER count_rows_on_insert AFTER INSERT ON invoice_items
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_rows();

CREATE TRIGGER count_rows_on_delete AFTER DELETE ON payments
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_rows();

CREATE TRIGGER count_rows_on_insert AFTER INSERT ON payments
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_rows();

-- The price of an item is stored. The database computes it if the statement gives none, and refuses
-- a price that is not near unit price times quantity. See
-- docs/decisions/0019-decimals-of-the-currency.md.

-- Unit price times quantity, rounded away from zero to the given decimals. It is exact at every
-- size; a division of numerics would keep 16 digits only.
CREATE FUNCTION item_price(unit_price numeric, quantity numeric, decimals integer)
RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT trunc(unit_price * quantity, decimals)
        + sign(unit_price * quantity - trunc(unit_price * quantity, decimals))
        * round(0.1 ^ decimals, decimals)
$$;

-- A trigger cannot see which columns an UPDATE names, but PostgreSQL runs a trigger of `UPDATE OF
-- price` only if `price` is among them. So three triggers, which run in the order of their names,
-- tell a price that is given unchanged from one that is not given: `price_1_mark` marks the price
-- with NaN if the amounts change and the price does not; `price_2_keep` restores it if the
-- statement names the price; `price_3_fill` computes it otherwise.
CREATE FUNCTION mark_item_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.price := 'NaN';
    RETURN NEW;
END
$$;

CREATE FUNCTION keep_item_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.price := OLD.price;
    RETURN NEW;
END
$$;

CREATE FUNCTION fill_item_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.price := item_price(
        NEW.unit_price, NEW.quantity, (SELECT decimals FROM currency)
    );
    RETURN NEW;
END
$$;

-- Holds true: a price has no more decimals than the currency, and is at most one smallest unit away
-- from unit price times quantity. A CHECK could not read the currency. Rows whose amounts and price
-- do not change are not checked.
CREATE FUNCTION hold_item_prices() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    places integer;
    smallest numeric;
    too_fine boolean;
    too_far boolean;
BEGIN
    SELECT decimals, round(0.1 ^ decimals, decimals) INTO STRICT places, smallest FROM currency;
    IF TG_OP = 'INSERT' THEN
        SELECT bool_or(price <> round(price, places)),
               bool_or(abs(price - unit_price * quantity) > smallest)
        INTO too_fine, too_far
        FROM new_items;
    ELSE
        SELECT bool_or(n.price <> round(n.price, places)),
               bool_or(abs(n.price - n.unit_price * n.quantity) > smallest)
        INTO too_fine, too_far
        FROM new_items AS n JOIN old_items AS o USING (id)
        WHERE (n.price, n.unit_price, n.quantity)
            IS DISTINCT FROM (o.price, o.unit_price, o.quantity);
    END IF;
    IF too_fine THEN
        RAISE EXCEPTION 'the price of an item has more decimals than the currency, which has %',
            places
            USING ERRCODE = 'check_violation', TABLE = 'invoice_items',
                  CONSTRAINT = 'ck_invoice_items_price_has_decimals_of_currency';
    ELSIF too_far THEN
        RAISE EXCEPTION 'the price of an item is more than % from unit price times quantity',
            smallest
            USING ERRCODE = 'check_violation', TABLE = 'invoice_items',
                  CONSTRAINT = 'ck_invoice_items_price_is_near_product';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER hold_prices_on_insert AFTER INSERT ON invoice_items
    REFERENCING NEW TABLE AS new_items
    FOR EACH STATEMENT EXECUTE FUNCTION hold_item_prices();

CREATE TRIGGER hold_prices_on_update AFTER UPDATE ON invoice_items
    REFERENCING OLD TABLE AS old_items NEW TABLE AS new_items
    FOR EACH STATEMENT EXECUTE FUNCTION hold_item_prices();

CREATE TRIGGER price_1_mark BEFORE UPDATE OF unit_price, quantity ON invoice_items
    FOR EACH ROW
    WHEN ((NEW.unit_price, NEW.quantity) IS DISTINCT FROM (OLD.unit_price, OLD.quantity)
          AND NEW.price = OLD.price)
    EXECUTE FUNCTION mark_item_price();

CREATE TRIGGER price_2_keep BEFORE UPDATE OF price ON invoice_items
    FOR EACH ROW
    WHEN (NEW.price = 'NaN')
    EXECUTE FUNCTION keep_item_price();

CREATE TRIGGER price_3_fill BEFORE INSERT OR UPDATE ON invoice_items
    FOR EACH ROW
    WHEN (NEW.price IS NULL OR NEW.price = 'NaN')
    EXECUTE FUNCTION fill_item_price();

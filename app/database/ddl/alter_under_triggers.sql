-- Changes the types of columns that triggers name, which PostgreSQL refuses: drops the triggers of the
-- tables, executes the alteration, and creates the triggers again.

CREATE FUNCTION alter_under_triggers(tables regclass[], alteration text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    removal text;
    creation text;
BEGIN
    SELECT string_agg(format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass), ';'),
           string_agg(pg_get_triggerdef(oid), ';')
    INTO removal, creation
    FROM pg_trigger
    WHERE tgrelid = ANY (tables) AND NOT tgisinternal;
    EXECUTE removal;
    EXECUTE alteration;
    EXECUTE creation;
END
$$;

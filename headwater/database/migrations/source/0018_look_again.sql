-- migrate:up
-- Who waited for the deletion of a row looks again: the one who deleted it may have put it back in the same transaction, and
-- a statement that waited does not see that. Another deletion of it could then draw a larger version than this insert.

CREATE OR REPLACE FUNCTION headwater.settle_key(tbl regclass, table_name text, key_column text, new_row anyelement)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    row_of_key text := format('SELECT FROM %1$s AS t WHERE t.%2$I = ($1).%2$I', tbl, key_column);
    hold text := row_of_key || ' FOR NO KEY UPDATE';
    key text := to_jsonb(new_row) ->> key_column;
    found bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended(table_name || ':' || key, 0)) THEN
        EXECUTE hold USING new_row;
        GET DIAGNOSTICS found = ROW_COUNT;
        IF found > 0 OR headwater.buried_here(tbl, to_jsonb(new_row), key) THEN
            RETURN;
        END IF;
        PERFORM headwater.lock_key(table_name, key);
    END IF;
    -- Under the key's lock nobody inserts but who has deleted the row and not committed: until then it is seen here.
    LOOP
        EXECUTE row_of_key USING new_row;
        GET DIAGNOSTICS found = ROW_COUNT;
        EXIT WHEN found = 0;
        EXECUTE hold USING new_row;
        GET DIAGNOSTICS found = ROW_COUNT;
        EXIT WHEN found > 0;
    END LOOP;
END $$;

-- migrate:down
CREATE OR REPLACE FUNCTION headwater.settle_key(tbl regclass, table_name text, key_column text, new_row anyelement)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    row_of_key text := format('SELECT FROM %1$s AS t WHERE t.%2$I = ($1).%2$I FOR NO KEY UPDATE', tbl, key_column);
    key text := to_jsonb(new_row) ->> key_column;
    locked bigint;
BEGIN
    IF pg_try_advisory_xact_lock(hashtextextended(table_name || ':' || key, 0)) THEN
        EXECUTE row_of_key USING new_row;
        RETURN;
    END IF;
    EXECUTE row_of_key USING new_row;
    GET DIAGNOSTICS locked = ROW_COUNT;
    IF locked = 0 AND NOT headwater.buried_here(tbl, to_jsonb(new_row), key) THEN
        PERFORM headwater.lock_key(table_name, key);
        EXECUTE row_of_key USING new_row;  -- the other insert may have committed by now
    END IF;
END $$;

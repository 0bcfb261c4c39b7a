-- migrate:up
-- Insert and delete of one key wait for each other on the row; the lock of the key is between inserts alone.
-- Before, an upsert held the key's lock and waited for the row, a delete held the row and waited for that lock: a deadlock.

-- Whether this transaction has deleted the row itself. Then it waits for nobody: all others wait for it.
CREATE FUNCTION headwater.buried_here(tbl regclass, new_row jsonb, key text) RETURNS bool LANGUAGE sql AS $$
    SELECT EXISTS (
        SELECT FROM headwater.attached AS a
          JOIN headwater.tombstone AS t
            ON t.subject = a.subject AND t.tenant = new_row ->> a.tenant_column AND t.key = buried_here.key
         WHERE to_regclass(a.table_name) = tbl AND t.xid = pg_current_xact_id())
$$;

-- Wait until no other transaction can delete the row of this key, or insert one, before this one ends.
-- Nobody waits for the key who holds the row. The inserting role needs UPDATE on the table.
CREATE FUNCTION headwater.settle_key(tbl regclass, table_name text, key_column text, new_row anyelement)
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

CREATE OR REPLACE FUNCTION headwater.stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND TG_NARGS > 0 THEN
        PERFORM headwater.settle_key(TG_RELID, TG_TABLE_NAME, TG_ARGV[0], NEW);
    END IF;
    -- The transaction's number first: whoever waits for open transactions must see this one before it draws.
    NEW.headwater_xid := pg_current_xact_id();
    NEW.headwater_version := headwater.next_version();
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION headwater.bury() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE gone jsonb := to_jsonb(OLD);
BEGIN
    INSERT INTO headwater.tombstone AS t (subject, tenant, key, version)
    VALUES (TG_ARGV[0], gone ->> TG_ARGV[1], gone ->> TG_ARGV[2], headwater.next_version())
    ON CONFLICT (subject, tenant, key) DO UPDATE
        SET version = excluded.version, xid = excluded.xid, deleted_at = excluded.deleted_at;
    RETURN OLD;
END $$;

-- migrate:down
CREATE OR REPLACE FUNCTION headwater.stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND TG_NARGS > 0 THEN
        PERFORM headwater.lock_key(TG_TABLE_NAME, to_jsonb(NEW) ->> TG_ARGV[0]);
    END IF;
    NEW.headwater_xid := pg_current_xact_id();
    NEW.headwater_version := headwater.next_version();
    RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION headwater.bury() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE gone jsonb := to_jsonb(OLD);
BEGIN
    IF TG_ARGV[3] = 'true' THEN
        PERFORM headwater.lock_key(TG_TABLE_NAME, gone ->> TG_ARGV[2]);
    END IF;
    INSERT INTO headwater.tombstone AS t (subject, tenant, key, version)
    VALUES (TG_ARGV[0], gone ->> TG_ARGV[1], gone ->> TG_ARGV[2], headwater.next_version())
    ON CONFLICT (subject, tenant, key) DO UPDATE
        SET version = excluded.version, xid = excluded.xid, deleted_at = excluded.deleted_at;
    RETURN OLD;
END $$;
DROP FUNCTION headwater.settle_key, headwater.buried_here;

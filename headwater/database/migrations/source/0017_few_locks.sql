-- migrate:up
-- An insert of many rows takes few locks: with one for each key, a statement of a few thousand rows used up the lock table
-- that all sessions share. Past half of `max_locks_per_transaction` keys a transaction settles none, and what that prevents
-- is looked for when the statement ends.

-- Whether this transaction may take one more key's lock; it counts as taken then.
CREATE FUNCTION headwater.one_more_lock() RETURNS bool LANGUAGE plpgsql AS $$
DECLARE taken int := coalesce(nullif(current_setting('headwater.keys_locked', true), '')::int, 0);
BEGIN
    IF taken >= current_setting('max_locks_per_transaction')::int / 2 THEN
        RETURN false;
    END IF;
    PERFORM set_config('headwater.keys_locked', (taken + 1)::text, true);
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION headwater.stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND TG_NARGS > 0 THEN
        -- A table that was attached before has no look at its end, and takes a lock for each key until it is attached again.
        IF TG_NARGS = 1 OR headwater.one_more_lock() THEN
            PERFORM headwater.settle_key(TG_RELID, TG_TABLE_NAME, TG_ARGV[0], NEW);
        END IF;
    END IF;
    -- The transaction's number first: whoever waits for open transactions must see this one before it draws.
    NEW.headwater_xid := pg_current_xact_id();
    NEW.headwater_version := headwater.next_version();
    RETURN NEW;
END $$;

-- Refuse rows that drew their version before others, who inserted and deleted the same key in that moment, drew theirs:
-- the deletion would win everywhere. It is seen here: nobody comes past the row now.
CREATE FUNCTION headwater.check_inserted() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    text_of text := 'to_jsonb(n.%I) #>> ARRAY[]::text[]';
    of_tenant text := CASE WHEN TG_ARGV[1] = '' THEN quote_literal(TG_ARGV[3]) ELSE format(text_of, TG_ARGV[1]) END;
    late text;
BEGIN
    EXECUTE format('SELECT t.key FROM inserted AS n JOIN headwater.tombstone AS t'
                   '    ON t.subject = %L AND t.tenant = %s AND t.key = %s'
                   ' WHERE t.version > n.headwater_version AND t.xid <> pg_current_xact_id() LIMIT 1',
                   TG_ARGV[0], of_tenant, format(text_of, TG_ARGV[2])) INTO late;
    IF late IS NOT NULL THEN
        RAISE EXCEPTION 'the row % of % was deleted while it was inserted', late, TG_TABLE_NAME
            USING ERRCODE = 'serialization_failure', HINT = 'run the transaction again';
    END IF;
    RETURN NULL;
END $$;

-- Give a table its version columns and triggers. `watched`: only changes of these columns draw a version (null: all).
-- `tenant_column` null: its rows belong to no tenant, and `realm` stands there.
CREATE OR REPLACE FUNCTION headwater.attach(
    tbl regclass, subject text, tenant_column text, key_column text, watched text[] DEFAULT NULL,
    recurring bool DEFAULT false, realm text DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    changed text := '';
    of_tenant text := coalesce(tenant_column, '');
    stamped text := CASE WHEN recurring THEN format('stamp(%L, %L)', key_column, 'few') ELSE 'mark()' END;
BEGIN
    IF of_tenant = '' AND realm IS NULL THEN
        RAISE EXCEPTION 'rows of % belong to no tenant, and no realm is given', tbl;
    END IF;
    EXECUTE format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS headwater_version bigint, '
                   'ADD COLUMN IF NOT EXISTS headwater_xid xid8', tbl);
    IF watched IS NOT NULL THEN
        SELECT ' WHEN (' || string_agg(format('OLD.%1$I::text IS DISTINCT FROM NEW.%1$I::text', c), ' OR ') || ')'
          INTO changed FROM unnest(watched) AS c;
    END IF;
    EXECUTE format('CREATE OR REPLACE TRIGGER zz_headwater_insert BEFORE INSERT ON %s FOR EACH ROW '
                   'EXECUTE FUNCTION headwater.%s', tbl, stamped);
    IF recurring THEN
        EXECUTE format('CREATE OR REPLACE TRIGGER zz_headwater_inserted AFTER INSERT ON %s REFERENCING NEW TABLE AS inserted '
                       'FOR EACH STATEMENT EXECUTE FUNCTION headwater.check_inserted(%L, %L, %L, %L)',
                       tbl, subject, of_tenant, key_column, coalesce(realm, ''));
    END IF;
    EXECUTE format('CREATE OR REPLACE TRIGGER zz_headwater_update BEFORE UPDATE ON %s FOR EACH ROW%s '
                   'EXECUTE FUNCTION headwater.mark()', tbl, changed);
    EXECUTE format('CREATE OR REPLACE TRIGGER zz_headwater_delete BEFORE DELETE ON %s FOR EACH ROW '
                   'EXECUTE FUNCTION headwater.bury(%L, %L, %L, %L, %L)',
                   tbl, subject, of_tenant, key_column, recurring::text, coalesce(realm, ''));
    EXECUTE format('CREATE OR REPLACE TRIGGER zz_headwater_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT '
                   'EXECUTE FUNCTION headwater.refuse_truncate()', tbl);
    INSERT INTO headwater.attached VALUES (tbl::text, subject, of_tenant, key_column, watched, recurring, realm)
    ON CONFLICT (table_name) DO UPDATE SET (subject, tenant_column, key_column, columns, recurring, realm)
        = (excluded.subject, excluded.tenant_column, excluded.key_column, excluded.columns, excluded.recurring,
           excluded.realm);
END $$;

-- migrate:down
CREATE OR REPLACE FUNCTION headwater.attach(
    tbl regclass, subject text, tenant_column text, key_column text, watched text[] DEFAULT NULL,
    recurring bool DEFAULT false, realm text DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    changed text := '';
    of_tenant text := coalesce(tenant_column, '');
    stamped text := CASE WHEN recurring THEN format('stamp(%L)', key_column) ELSE 'mark()' END;
BEGIN
    IF of_tenant = '' AND realm IS NULL THEN
        RAISE EXCEPTION 'rows of % belong to no tenant, and no realm is given', tbl;
    END IF;
    EXECUTE format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS headwater_version bigint, '
                   'ADD COLUMN IF NOT EXISTS headwater_xid xid8', tbl);
    IF watched IS NOT NULL THEN
        SELECT ' WHEN (' || string_agg(format('OLD.%1$I::text IS DISTINCT FROM NEW.%1$I::text', c), ' OR ') || ')'
          INTO changed FROM unnest(watched) AS c;
    END IF;
    EXECUTE format('CREATE OR REPLACE TRIGGER zz_headwater_insert BEFORE INSERT ON %s FOR EACH ROW '
                   'EXECUTE FUNCTION headwater.%s', tbl, stamped);
    EXECUTE format('CREATE OR REPLACE TRIGGER zz_headwater_update BEFORE UPDATE ON %s FOR EACH ROW%s '
                   'EXECUTE FUNCTION headwater.mark()', tbl, changed);
    EXECUTE format('CREATE OR REPLACE TRIGGER zz_headwater_delete BEFORE DELETE ON %s FOR EACH ROW '
                   'EXECUTE FUNCTION headwater.bury(%L, %L, %L, %L, %L)',
                   tbl, subject, of_tenant, key_column, recurring::text, coalesce(realm, ''));
    EXECUTE format('CREATE OR REPLACE TRIGGER zz_headwater_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT '
                   'EXECUTE FUNCTION headwater.refuse_truncate()', tbl);
    INSERT INTO headwater.attached VALUES (tbl::text, subject, of_tenant, key_column, watched, recurring, realm)
    ON CONFLICT (table_name) DO UPDATE SET (subject, tenant_column, key_column, columns, recurring, realm)
        = (excluded.subject, excluded.tenant_column, excluded.key_column, excluded.columns, excluded.recurring,
           excluded.realm);
END $$;
DO $$ DECLARE one headwater.attached; BEGIN
    FOR one IN SELECT * FROM headwater.attached WHERE recurring LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS zz_headwater_inserted ON %s', one.table_name::regclass);
        PERFORM headwater.attach(one.table_name::regclass, one.subject, nullif(one.tenant_column, ''), one.key_column,
                                 one.columns, one.recurring, one.realm);
    END LOOP;
END $$;
CREATE OR REPLACE FUNCTION headwater.stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND TG_NARGS > 0 THEN
        PERFORM headwater.settle_key(TG_RELID, TG_TABLE_NAME, TG_ARGV[0], NEW);
    END IF;
    NEW.headwater_xid := pg_current_xact_id();
    NEW.headwater_version := headwater.next_version();
    RETURN NEW;
END $$;
DROP FUNCTION headwater.check_inserted, headwater.one_more_lock;

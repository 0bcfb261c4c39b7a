-- migrate:up
-- Tables whose rows belong to no tenant: a realm stands where the tenant would. And whoever may write a table needs no
-- rights on headwater's own ones: its triggers run as their owner, so that no write fails for want of a grant.

ALTER TABLE headwater.attached ADD COLUMN realm text;

-- What `stamp` does where keys do not come back. That one runs as the writer: it looks at the writer's rows.
CREATE FUNCTION headwater.mark() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- The transaction's number first: whoever waits for open transactions must see this one before it draws.
    NEW.headwater_xid := pg_current_xact_id();
    NEW.headwater_version := headwater.next_version();
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION headwater.bury() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone jsonb := to_jsonb(OLD);
    tenant text := CASE WHEN TG_ARGV[1] = '' THEN TG_ARGV[4] ELSE gone ->> TG_ARGV[1] END;
BEGIN
    INSERT INTO headwater.tombstone AS t (subject, tenant, key, version)
    VALUES (TG_ARGV[0], tenant, gone ->> TG_ARGV[2], headwater.next_version())
    ON CONFLICT ON CONSTRAINT tombstone_pkey DO UPDATE
        SET version = excluded.version, xid = excluded.xid, deleted_at = excluded.deleted_at;
    RETURN OLD;
END $$;

DROP FUNCTION headwater.attach(regclass, text, text, text, text[], bool);

-- Give a table its version columns and triggers. `watched`: only changes of these columns draw a version (null: all).
-- `tenant_column` null: its rows belong to no tenant, and `realm` stands there.
CREATE FUNCTION headwater.attach(
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

-- migrate:down
DROP FUNCTION headwater.attach(regclass, text, text, text, text[], bool, text);
CREATE FUNCTION headwater.attach(
    tbl regclass, subject text, tenant_column text, key_column text, watched text[] DEFAULT NULL, recurring bool DEFAULT false
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    changed text := '';
    lock_argument text := CASE WHEN recurring THEN quote_literal(key_column) ELSE '' END;
BEGIN
    EXECUTE format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS headwater_version bigint, '
                   'ADD COLUMN IF NOT EXISTS headwater_xid xid8', tbl);
    IF watched IS NOT NULL THEN
        SELECT ' WHEN (' || string_agg(format('OLD.%1$I::text IS DISTINCT FROM NEW.%1$I::text', c), ' OR ') || ')'
          INTO changed FROM unnest(watched) AS c;
    END IF;
    EXECUTE format('CREATE OR REPLACE TRIGGER zz_headwater_insert BEFORE INSERT ON %s FOR EACH ROW '
                   'EXECUTE FUNCTION headwater.stamp(%s)', tbl, lock_argument);
    EXECUTE format('CREATE OR REPLACE TRIGGER zz_headwater_update BEFORE UPDATE ON %s FOR EACH ROW%s '
                   'EXECUTE FUNCTION headwater.stamp()', tbl, changed);
    EXECUTE format('CREATE OR REPLACE TRIGGER zz_headwater_delete BEFORE DELETE ON %s FOR EACH ROW '
                   'EXECUTE FUNCTION headwater.bury(%L, %L, %L, %L)',
                   tbl, subject, tenant_column, key_column, recurring::text);
    EXECUTE format('CREATE OR REPLACE TRIGGER zz_headwater_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT '
                   'EXECUTE FUNCTION headwater.refuse_truncate()', tbl);
    INSERT INTO headwater.attached VALUES (tbl::text, subject, tenant_column, key_column, watched, recurring)
    ON CONFLICT (table_name) DO UPDATE SET (subject, tenant_column, key_column, columns, recurring)
        = (excluded.subject, excluded.tenant_column, excluded.key_column, excluded.columns, excluded.recurring);
END $$;
DO $$ DECLARE one headwater.attached; BEGIN
    FOR one IN SELECT * FROM headwater.attached WHERE tenant_column <> '' LOOP
        PERFORM headwater.attach(one.table_name::regclass, one.subject, one.tenant_column, one.key_column, one.columns,
                                 one.recurring);
    END LOOP;
END $$;
ALTER TABLE headwater.attached DROP COLUMN realm;
CREATE OR REPLACE FUNCTION headwater.bury() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE gone jsonb := to_jsonb(OLD);
BEGIN
    INSERT INTO headwater.tombstone AS t (subject, tenant, key, version)
    VALUES (TG_ARGV[0], gone ->> TG_ARGV[1], gone ->> TG_ARGV[2], headwater.next_version())
    ON CONFLICT (subject, tenant, key) DO UPDATE
        SET version = excluded.version, xid = excluded.xid, deleted_at = excluded.deleted_at;
    RETURN OLD;
END $$;
DROP FUNCTION headwater.mark;

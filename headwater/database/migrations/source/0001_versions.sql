-- migrate:up
-- A version belongs to the row: drawn under the row's lock, so that for one key the order of commits is the order of versions.

CREATE TABLE headwater.meta (
    one       bool PRIMARY KEY DEFAULT true CHECK (one),
    epoch     int  NOT NULL DEFAULT 1 CHECK (epoch BETWEEN 1 AND 32767),
    source_id uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO headwater.meta DEFAULT VALUES;
COMMENT ON COLUMN headwater.meta.epoch IS
    'raise it after a restore, a failover to an asynchronous replica or a logical migration: numbers may then be used again';

-- CACHE 1 is essential: a session's cached block would give a later change a smaller number.
CREATE SEQUENCE headwater.version_seq AS bigint CACHE 1 MAXVALUE 281474976710655;

CREATE FUNCTION headwater.next_version() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT (SELECT epoch FROM headwater.meta)::bigint << 48 | nextval('headwater.version_seq')
$$;

CREATE TABLE headwater.tombstone (
    subject    text   NOT NULL,
    tenant     text   NOT NULL,
    key        text   NOT NULL,
    version    bigint NOT NULL,
    xid        xid8   NOT NULL DEFAULT pg_current_xact_id(),
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (subject, tenant, key)
);
CREATE INDEX tombstone_deleted_at ON headwater.tombstone (deleted_at);

CREATE TABLE headwater.attached (
    table_name    text PRIMARY KEY,
    subject       text NOT NULL UNIQUE,
    tenant_column text NOT NULL,
    key_column    text NOT NULL,
    columns       text[],
    recurring     bool NOT NULL DEFAULT false
);

-- Where keys can come back after a delete, insert and delete of one key take the same lock before they draw.
CREATE FUNCTION headwater.lock_key(table_name text, key text) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended(table_name || ':' || key, 0))
$$;

CREATE FUNCTION headwater.stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND TG_NARGS > 0 THEN
        PERFORM headwater.lock_key(TG_TABLE_NAME, to_jsonb(NEW) ->> TG_ARGV[0]);
    END IF;
    -- The transaction's number first: whoever waits for open transactions must see this one before it draws.
    NEW.headwater_xid := pg_current_xact_id();
    NEW.headwater_version := headwater.next_version();
    RETURN NEW;
END $$;

CREATE FUNCTION headwater.bury() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE FUNCTION headwater.refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of % would leave its rows in every application', TG_TABLE_NAME
        USING HINT = 'DELETE them, so that each leaves a tombstone';
END $$;

-- Give a table its version columns and triggers. `watched`: only changes of these columns draw a version (null: all).
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

-- migrate:down
DROP FUNCTION headwater.attach, headwater.refuse_truncate, headwater.bury, headwater.stamp, headwater.lock_key,
              headwater.next_version CASCADE;
DROP TABLE headwater.attached, headwater.tombstone, headwater.meta CASCADE;
DROP SEQUENCE headwater.version_seq CASCADE;

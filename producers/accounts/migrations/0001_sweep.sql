-- migrate:up
-- How far the changes of `users` have been said: everything that `seen` sees, and of a pass in hand what lies before its place.

CREATE SCHEMA user_sync;

CREATE TABLE user_sync.sweep (
    one          bool        PRIMARY KEY DEFAULT true CHECK (one),
    epoch        bigint      NOT NULL DEFAULT 0,
    source_epoch int         NOT NULL DEFAULT 1,
    seen         pg_snapshot NOT NULL,
    target       pg_snapshot,
    at_xid       xid8,
    at_key       uuid,
    stuck_since  timestamptz,
    swept_at     timestamptz,
    seconds      float8,
    said         bigint      NOT NULL DEFAULT 0,
    bulk_at      timestamptz
);

-- TRUNCATE goes on, and leaves a tombstone for every row. `TG_ARGV`: subject, realm, key column.
CREATE FUNCTION user_sync.bury_all() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format(
        'INSERT INTO headwater.tombstone AS t (subject, tenant, key, version) '
        'SELECT %L, %L, %I::text, headwater.next_version() FROM %s '
        'ON CONFLICT (subject, tenant, key) DO UPDATE '
        'SET version = excluded.version, xid = excluded.xid, deleted_at = excluded.deleted_at',
        TG_ARGV[0], TG_ARGV[1], TG_ARGV[2], TG_RELID::regclass);
    RETURN NULL;
END $$;

-- migrate:down
DROP SCHEMA user_sync CASCADE;

-- migrate:up
-- What was said in a transaction and is not on a stream yet. It stores subject and event, not a stream:
-- the relay decides where an event goes by the enablement at the moment it moves it.

CREATE TABLE headwater.outbox (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id       text   NOT NULL,
    type           text   NOT NULL,
    schema_version int    NOT NULL DEFAULT 1,
    tenant         text   NOT NULL,
    key            text   NOT NULL,
    op             text   NOT NULL DEFAULT 'u' CHECK (op IN ('u', 'd', 'x')),
    version        bigint,
    target         text   NOT NULL DEFAULT '*',
    source         text   NOT NULL,
    correlation    text   NOT NULL DEFAULT '',
    data           json   NOT NULL,
    metadata       json   NOT NULL DEFAULT '{}',
    said_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at   timestamptz,
    entries        text,
    error          text
);
CREATE INDEX outbox_waiting ON headwater.outbox (id) WHERE published_at IS NULL AND error IS NULL;
CREATE INDEX outbox_published ON headwater.outbox (published_at) WHERE published_at IS NOT NULL;

-- A doorbell, once a statement and without content: what was said is in the table.
CREATE FUNCTION headwater.ring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('headwater_outbox', '');
    RETURN NULL;
END $$;
CREATE TRIGGER outbox_ring AFTER INSERT ON headwater.outbox FOR EACH STATEMENT EXECUTE FUNCTION headwater.ring();

-- The id of a fact: the same in every language (SHA-256 of type, tenant, key and version, written as a UUID).
CREATE FUNCTION headwater.event_id(type text, tenant text, key text, version text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT (substr(h, 1, 12) || '5' || substr(h, 14, 3) ||
            substr('89ab', (('x' || substr(h, 17, 1))::bit(4)::int & 3) + 1, 1) || substr(h, 18, 15))::uuid::text
      FROM encode(sha256(convert_to(concat_ws(E'\x1f', type, tenant, key, version), 'UTF8')), 'hex') AS h
$$;

-- Publish from any language, in the caller's transaction. -> the event's id
-- `version`: the row's headwater_version; null for a delete takes the tombstone's; for a log event give `operation_id`.
CREATE FUNCTION headwater.publish(
    type text, tenant text, key text, data json, version bigint DEFAULT NULL, op text DEFAULT 'u',
    subject text DEFAULT NULL, operation_id text DEFAULT NULL, metadata json DEFAULT '{}', source text DEFAULT 'sql',
    target text DEFAULT '*', correlation text DEFAULT '', schema_version int DEFAULT 1
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    drawn bigint := version;
    identity text;
BEGIN
    IF drawn IS NULL AND op = 'd' THEN
        SELECT t.version INTO drawn FROM headwater.tombstone AS t
         WHERE t.subject = publish.subject AND t.tenant = publish.tenant AND t.key = publish.key;
    END IF;
    IF drawn IS NULL AND op <> 'x' THEN
        RAISE EXCEPTION 'a state event needs the version of its row (%, %)', type, key
            USING HINT = 'pass headwater_version from RETURNING; for a delete pass subject, so that its tombstone is found';
    END IF;
    identity := CASE WHEN coalesce(operation_id, drawn::text) IS NULL THEN gen_random_uuid()::text
                     ELSE headwater.event_id(type, tenant, key, coalesce(operation_id, drawn::text)) END;
    INSERT INTO headwater.outbox
        (event_id, type, schema_version, tenant, key, op, version, target, source, correlation, data, metadata)
    VALUES (identity, type, schema_version, tenant, key, op, drawn, target, source, correlation, data, metadata);
    RETURN identity;
END $$;

-- migrate:down
DROP TABLE headwater.outbox CASCADE;
DROP FUNCTION headwater.publish, headwater.event_id, headwater.ring;

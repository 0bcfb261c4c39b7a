-- migrate:up
-- What no stream can carry is refused where it is said, as in Python: 256 KiB, less what an entry needs beside it.
CREATE OR REPLACE FUNCTION headwater.publish(
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
    IF octet_length(concat(data, metadata, type, tenant, key, target, source, correlation)) > 261632 THEN
        RAISE EXCEPTION 'an event has at most 261632 bytes (%, %)', type, key USING ERRCODE = 'program_limit_exceeded';
    END IF;
    identity := CASE WHEN coalesce(operation_id, drawn::text) IS NULL THEN gen_random_uuid()::text
                     ELSE headwater.event_id(type, tenant, key, coalesce(operation_id, drawn::text)) END;
    INSERT INTO headwater.outbox
        (event_id, type, schema_version, tenant, key, op, version, target, source, correlation, data, metadata)
    VALUES (identity, type, schema_version, tenant, key, op, drawn, target, source, correlation, data, metadata);
    RETURN identity;
END $$;

-- migrate:down
CREATE OR REPLACE FUNCTION headwater.publish(
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

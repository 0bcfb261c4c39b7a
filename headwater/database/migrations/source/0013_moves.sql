-- migrate:up
-- A row that moves from one application to another is gone for the one before, whoever moved it and whatever is said of it.

-- Arguments: tenant column, key column, column of the application, event type, schema version, data with "{key}" in it, operation,
-- realm where the tenant column is empty.
-- Whoever may update the table may do so without any right on the outbox.
CREATE FUNCTION headwater.say_left() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was jsonb := to_jsonb(OLD);
    key text := was ->> TG_ARGV[1];
    app text := was ->> TG_ARGV[2];
    drawn bigint := (to_jsonb(NEW) ->> 'headwater_version')::bigint;
BEGIN
    PERFORM headwater.publish(
        type => TG_ARGV[3],
        tenant => CASE WHEN TG_ARGV[0] = '' THEN TG_ARGV[7] ELSE was ->> TG_ARGV[0] END, key => key, op => TG_ARGV[6], version => drawn,
        data => replace(TG_ARGV[5], '"{key}"', to_json(key)::text)::json, target => app,
        operation_id => drawn || ':' || app, schema_version => TG_ARGV[4]::int, source => 'moved');
    RETURN NULL;
END $$;

-- Say so of a table that was attached before; without a type, no longer.
CREATE FUNCTION headwater.attach_moves(
    tbl regclass, tenant_column text, key_column text, app_column text, type text, schema_version int, data text, op text,
    realm text DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF type IS NULL THEN
        EXECUTE format('DROP TRIGGER IF EXISTS zz_headwater_moved ON %s', tbl);
        RETURN;
    END IF;
    EXECUTE format('CREATE OR REPLACE TRIGGER zz_headwater_moved AFTER UPDATE ON %1$s FOR EACH ROW '
                   'WHEN (OLD.%2$I IS NOT NULL AND OLD.%2$I IS DISTINCT FROM NEW.%2$I) '
                   'EXECUTE FUNCTION headwater.say_left(%3$L, %4$L, %2$L, %5$L, %6$L, %7$L, %8$L, %9$L)',
                   tbl, app_column, coalesce(tenant_column, ''), key_column, type, schema_version, data, op, coalesce(realm, ''));
END $$;

-- migrate:down
DROP FUNCTION headwater.attach_moves, headwater.say_left CASCADE;

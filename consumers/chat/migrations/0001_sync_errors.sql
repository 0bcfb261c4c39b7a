-- migrate:up
-- What goes wrong, as the existing service keeps it; a table that is there already stays.
CREATE TABLE IF NOT EXISTS sync_errors (
    id              serial PRIMARY KEY,
    error_type      varchar(100) NOT NULL,
    user_id         varchar(255),
    error_message   text NOT NULL,
    error_stack     text,
    additional_data jsonb,
    created_at      timestamptz NOT NULL DEFAULT now(),
    resolved        boolean NOT NULL DEFAULT false,
    resolved_at     timestamptz,
    retry_count     integer NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS idx_sync_errors_error_type ON sync_errors (error_type);
CREATE INDEX IF NOT EXISTS idx_sync_errors_user_id ON sync_errors (user_id);
CREATE INDEX IF NOT EXISTS idx_sync_errors_created_at ON sync_errors (created_at DESC);
CREATE INDEX IF NOT EXISTS idx_sync_errors_resolved ON sync_errors (resolved) WHERE resolved = false;

-- A user that can not be applied is told in the transaction that parks the letter, and told once: further tries count.
CREATE FUNCTION tell_sync_error() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    kind text := CASE WHEN NEW.type = 'account.deleted' THEN 'DELETE_USER_FAILED'
                      WHEN NEW.job <> '' THEN 'BULK_SYNC_USER_FAILED'
                      WHEN NEW.reason = 'rejected' THEN 'UPSERT_USER_FAILED'
                      ELSE 'SYNC_USER_FAILED' END;
BEGIN
    IF NEW.state = 'replayed' THEN
        UPDATE sync_errors SET resolved = true, resolved_at = now()
         WHERE NOT resolved AND additional_data ->> 'letter' = NEW.id::text;
        RETURN NULL;
    END IF;
    UPDATE sync_errors
       SET retry_count = NEW.failures, error_message = split_part(NEW.error, E'\n', 1), error_stack = NEW.error
     WHERE NOT resolved AND additional_data ->> 'letter' = NEW.id::text;
    IF NOT FOUND THEN
        INSERT INTO sync_errors (error_type, user_id, error_message, error_stack, additional_data, retry_count)
        VALUES (kind, nullif(NEW.key, ''), split_part(NEW.error, E'\n', 1), NEW.error,
                jsonb_build_object('letter', NEW.id, 'reason', NEW.reason, 'eventId', NEW.event_id, 'stream', NEW.stream,
                                   'entry', NEW.entry), NEW.failures - 1);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_sync_error AFTER INSERT OR UPDATE OF state, failures ON headwater.dead_letter FOR EACH ROW
    WHEN (NEW.app = 'chat' AND NEW.state IN ('parked', 'replayed')) EXECUTE FUNCTION tell_sync_error();

-- migrate:down
DROP TRIGGER tell_sync_error ON headwater.dead_letter;
DROP FUNCTION tell_sync_error;
DROP TABLE sync_errors;

-- migrate:up
-- A fact that is said again (by a bulk sync beside a live change, or after a loss) and parked again is the same error.
CREATE OR REPLACE FUNCTION tell_sync_error() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    kind text := CASE WHEN NEW.type = 'account.deleted' THEN 'DELETE_USER_FAILED'
                      WHEN NEW.job <> '' THEN 'BULK_SYNC_USER_FAILED'
                      WHEN NEW.reason = 'rejected' THEN 'UPSERT_USER_FAILED'
                      ELSE 'SYNC_USER_FAILED' END;
BEGIN
    IF NEW.state = 'replayed' THEN
        UPDATE sync_errors SET resolved = true, resolved_at = now()
         WHERE NOT resolved AND (additional_data ->> 'letter' = NEW.id::text
                                 OR NEW.event_id <> '' AND additional_data ->> 'eventId' = NEW.event_id);
        RETURN NULL;
    END IF;
    UPDATE sync_errors
       SET retry_count = greatest(retry_count, NEW.failures - 1), error_message = split_part(NEW.error, E'\n', 1),
           error_stack = NEW.error
     WHERE NOT resolved AND (additional_data ->> 'letter' = NEW.id::text
                             OR NEW.event_id <> '' AND additional_data ->> 'eventId' = NEW.event_id);
    IF NOT FOUND THEN
        INSERT INTO sync_errors (error_type, user_id, error_message, error_stack, additional_data, retry_count)
        VALUES (kind, nullif(NEW.key, ''), split_part(NEW.error, E'\n', 1), NEW.error,
                jsonb_build_object('letter', NEW.id, 'reason', NEW.reason, 'eventId', NEW.event_id, 'stream', NEW.stream,
                                   'entry', NEW.entry), NEW.failures - 1);
    END IF;
    RETURN NULL;
END $$;

-- migrate:down
SELECT 1;

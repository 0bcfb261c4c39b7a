-- One dead letter with the entry's fields.
-- $1 app, $2 id -> one row or none
SELECT id, state, parked_at, stream, entry, type, tenant, key, event_id, job, reason, error, failures, size, settled_at, note, fields
  FROM headwater.dead_letter WHERE app = $1 AND id = $2

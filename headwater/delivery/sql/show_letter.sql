-- One dead letter with the entry's fields.
-- $1 app, $2 id -> one row or none; behind: how many are held for this one
SELECT id, state, parked_at, stream, entry, type, tenant, key, event_id, job, reason, error, failures, size, settled_at, note, fields,
       (SELECT count(*) FROM headwater.dead_letter AS b
         WHERE d.ordered AND d.state IN ('parked', 'replaying', 'waiting', 'held') AND b.ordered AND b.state = 'held'
           AND b.app = d.app AND b.tenant = d.tenant AND b.subject = d.subject AND b.key = d.key AND b.id > d.id) AS behind
  FROM headwater.dead_letter AS d WHERE app = $1 AND id = $2

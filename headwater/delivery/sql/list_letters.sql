-- Dead letters, newest first.
-- $1 app, $2 states, $3 tenant or null, $4 type or null, $5 reason or null, $6 before id or null, $7 at most -> rows without fields; behind: how many are held for this one
SELECT id, state, parked_at, stream, entry, type, tenant, key, event_id, reason, error, failures, size, settled_at, note,
       (SELECT count(*) FROM headwater.dead_letter AS b
         WHERE d.ordered AND d.state IN ('parked', 'replaying', 'waiting', 'held') AND b.ordered AND b.state = 'held'
           AND b.app = d.app AND b.tenant = d.tenant AND b.subject = d.subject AND b.key = d.key AND b.id > d.id) AS behind
  FROM headwater.dead_letter AS d
 WHERE app = $1 AND state = ANY ($2::text[]) AND ($3::text IS NULL OR tenant = $3) AND ($4::text IS NULL OR type = $4)
   AND ($5::text IS NULL OR reason = $5) AND ($6::bigint IS NULL OR id < $6)
 ORDER BY id DESC LIMIT $7

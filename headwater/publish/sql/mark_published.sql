-- Record where events went.
-- $1 ids, $2 entries as `stream@id …` -> nothing
UPDATE headwater.outbox AS o
   SET published_at = clock_timestamp(), entries = done.entries
  FROM unnest($1::bigint[], $2::text[]) AS done (id, entries)
 WHERE o.id = done.id

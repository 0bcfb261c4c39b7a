-- Record where events went, or which stream refuses them: only by the relay that leads.
-- $1 ids, $2 entries as `stream@id …`, $3 refusing streams, null where all have it, $4 epoch -> whether it leads
WITH leader AS MATERIALIZED (SELECT epoch FROM headwater.relay WHERE epoch = $4 FOR SHARE),
     marked AS (
    UPDATE headwater.outbox AS o
       SET published_at = CASE WHEN done.held IS NULL THEN clock_timestamp() END, entries = done.entries, held = done.held
      FROM unnest($1::bigint[], $2::text[], $3::text[]) AS done (id, entries, held)
     WHERE o.id = done.id AND EXISTS (SELECT FROM leader))
SELECT EXISTS (SELECT FROM leader) AS leads

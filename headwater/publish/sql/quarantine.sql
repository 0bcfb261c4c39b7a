-- Set aside events that can not be published, so that those behind them go on: only by the relay that leads.
-- $1 ids, $2 errors, $3 epoch -> whether it leads
WITH leader AS MATERIALIZED (SELECT epoch FROM headwater.relay WHERE epoch = $3 FOR SHARE),
     marked AS (
    UPDATE headwater.outbox AS o
       SET error = bad.error
      FROM unnest($1::bigint[], $2::text[]) AS bad (id, error)
     WHERE o.id = bad.id AND EXISTS (SELECT FROM leader))
SELECT EXISTS (SELECT FROM leader) AS leads

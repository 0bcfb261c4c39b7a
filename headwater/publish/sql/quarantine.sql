-- Set aside events that can not be published, so that those behind them go on.
-- $1 ids, $2 errors -> nothing
UPDATE headwater.outbox AS o
   SET error = bad.error
  FROM unnest($1::bigint[], $2::text[]) AS bad (id, error)
 WHERE o.id = bad.id

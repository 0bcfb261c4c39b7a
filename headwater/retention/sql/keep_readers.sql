-- Keep when groups were last heard of, and since when they are given up.
-- $1 names, $2 apps or '', $3 seconds since they were heard of, $4 given up -> nothing
INSERT INTO headwater.reader AS r (name, app, heard_at, given_up_at)
SELECT name, app, clock_timestamp() - silent * interval '1 second', CASE WHEN given_up THEN clock_timestamp() END
  FROM unnest($1::text[], $2::text[], $3::float8[], $4::bool[]) AS e (name, app, silent, given_up)
ON CONFLICT (name) DO UPDATE
   SET app = excluded.app, heard_at = greatest(r.heard_at, excluded.heard_at),
       given_up_at = CASE WHEN excluded.given_up_at IS NULL THEN NULL ELSE coalesce(r.given_up_at, excluded.given_up_at) END

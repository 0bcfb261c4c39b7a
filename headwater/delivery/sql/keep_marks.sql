-- Remember how streams are.
-- $1 app, $2.. columns as arrays -> nothing
INSERT INTO headwater.mark AS m (app, stream, added, last, deleted, trimmed, floor, unsettled)
SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::bigint[])
ON CONFLICT (app, stream) DO UPDATE
   SET added = excluded.added, last = excluded.last, deleted = excluded.deleted, trimmed = excluded.trimmed,
       floor = excluded.floor, unsettled = excluded.unsettled, seen_at = clock_timestamp()

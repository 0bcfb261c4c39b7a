-- Take the name asked for, or the smallest free slot; run under the application's lock of names.
-- $1 app, $2 name or '', $3 token, $4 seconds, $5 place, $6 process -> the name; no row while another one holds it
WITH held AS (
    SELECT name FROM headwater.worker_name
     WHERE app = $1 AND lease_until BETWEEN clock_timestamp() AND clock_timestamp() + interval '2 hours' AND token <> $3
), wanted AS (
    SELECT CASE WHEN $2 <> '' THEN $2 ELSE (
               SELECT $1 || '-' || min(slot)
                 FROM generate_series(1, (SELECT count(*) + 1 FROM held)) AS slot
                WHERE $1 || '-' || slot NOT IN (SELECT name FROM held)) END AS name
)
INSERT INTO headwater.worker_name AS w (app, name, token, lease_until, place, process)
SELECT $1, name, $3, clock_timestamp() + make_interval(secs => $4), $5, $6 FROM wanted
 WHERE name NOT IN (SELECT name FROM held)
ON CONFLICT (app, name) DO UPDATE
   SET token = excluded.token, place = excluded.place, process = excluded.process,
       lease_until = excluded.lease_until, taken_at = clock_timestamp()
RETURNING name

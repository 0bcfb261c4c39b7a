-- Names that are held now.
-- $1 app -> (name, token, place, process, taken_at, lease_until)
SELECT name, token, place, process, taken_at, lease_until FROM headwater.worker_name
 WHERE app = $1 AND lease_until BETWEEN clock_timestamp() AND clock_timestamp() + interval '2 hours' ORDER BY name

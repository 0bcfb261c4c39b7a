-- Which of what is waited for was applied, and which stands among the dead letters.
-- $1 apps, $2 tenants, $3 subjects, $4 keys, $5 versions or null, $6 event ids -> (place from 1, letter or 0, its state, reason, error)
WITH asked AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[]) WITH ORDINALITY
           AS a (app, tenant, subject, key, version, event_id, place)
)
SELECT a.place, 0::bigint AS letter, '' AS state, '' AS reason, '' AS error
  FROM asked AS a JOIN headwater.ledger AS l USING (app, tenant, subject, key)
 WHERE l.version >= a.version
UNION ALL
SELECT a.place, 0, '', '', ''
  FROM asked AS a JOIN headwater.inbox AS i USING (app, event_id)
 WHERE i.tenant IS NULL OR lower(i.tenant) = lower(a.tenant)
UNION ALL
SELECT a.place, 0, '', '', ''
  FROM asked AS a JOIN headwater.inbox AS i ON i.app = a.app AND i.event_id = a.event_id || E'\x1f' || lower(a.tenant)
UNION ALL
SELECT a.place, d.id, d.state, d.reason, d.error
  FROM asked AS a JOIN headwater.dead_letter AS d USING (app, event_id)
 WHERE d.event_id <> '' AND lower(d.tenant) IN (lower(a.tenant), '') AND d.state IN ('parked', 'discarded')

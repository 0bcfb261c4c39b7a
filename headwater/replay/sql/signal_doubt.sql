-- After a loss: what was known of these tenants is unknown until it is compared again.
-- $1 tenants, $2 app, $3 subjects, $4 reason, $5 gap, $6 sink, $7 epoch -> nothing
INSERT INTO headwater.agreement AS a (tenant, app, subject, state, reason, gap, sink, epoch)
SELECT t.tenant, $2, s.subject, 'unknown', $4, $5, $6, $7
  FROM unnest($1::text[]) AS t (tenant) CROSS JOIN unnest($3::text[]) AS s (subject)
ON CONFLICT (tenant, app, subject) DO UPDATE
   SET state = 'unknown', reason = excluded.reason, gap = excluded.gap, sink = excluded.sink, epoch = excluded.epoch, tries = 0

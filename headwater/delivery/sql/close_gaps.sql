-- Close gaps whose repair has been applied.
-- $1 app, $2 streams, $3 until -> ids
UPDATE headwater.gap AS g SET state = 'closed', closed_at = clock_timestamp()
  FROM unnest($2::text[], $3::text[]) AS done (stream, until)
 WHERE g.app = $1 AND g.stream = done.stream AND g.until = done.until AND g.state = 'repairing'
RETURNING g.id

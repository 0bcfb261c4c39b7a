-- Put events into the outbox, in the order given.
-- $1..$11 columns as arrays -> nothing
INSERT INTO headwater.outbox
       (event_id, type, schema_version, tenant, key, op, version, target, source, correlation, data, metadata)
SELECT event_id, type, schema_version, tenant, key, op, version, target, $12, correlation, data::json, metadata::json
  FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[],
              $9::text[], $10::text[], $11::text[]) WITH ORDINALITY
       AS said (event_id, type, schema_version, tenant, key, op, version, target, correlation, data, metadata, place)
 ORDER BY place

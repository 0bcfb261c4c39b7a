-- Versions of deletions, drawn by the delete trigger in this transaction or before.
-- $1 subjects, $2 tenants, $3 keys -> (place from 1, version)
SELECT gone.place, t.version
  FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS gone (subject, tenant, key, place)
  JOIN headwater.tombstone AS t USING (subject, tenant, key)

-- The gate: let through what is newer than what was applied, and remember it. Sorted by key, so that no two workers wait for each other in a ring.
-- $1 app, $2 subject, $3 generation, $4 tenants, $5 keys, $6 versions, $7 gone -> places (from 1) of those let through
WITH ev AS (
    SELECT * FROM unnest($4::text[], $5::text[], $6::bigint[], $7::bool[]) WITH ORDINALITY
           AS e (tenant, key, version, gone, place)
), gate AS (
    INSERT INTO headwater.ledger AS l (app, tenant, subject, key, generation, version, deleted)
    SELECT $1, tenant, $2, key, $3, version, gone FROM ev ORDER BY tenant, key
    ON CONFLICT (app, tenant, subject, key) DO UPDATE
       SET generation = excluded.generation, version = excluded.version, deleted = excluded.deleted,
           applied_at = clock_timestamp()
     WHERE (l.generation, l.version) < (excluded.generation, excluded.version)
    RETURNING tenant, key
)
SELECT ev.place FROM gate JOIN ev USING (tenant, key) ORDER BY ev.place

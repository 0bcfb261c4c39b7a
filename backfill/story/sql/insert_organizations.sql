-- Found organizations, parents first.
-- $1 tenant, $2 ids, $3 parents, $4 levels, $5 names, $6 codes -> the rows, in the order given
WITH founded AS (
    INSERT INTO entities
           (tenant_id, entity_id, parent_entity_id, entity_level, entity_name, entity_code, entity_type, organization_type)
    SELECT $1, id, parent, level, name, code, 'organization', 'business_unit'
      FROM unnest($2::uuid[], $3::uuid[], $4::int[], $5::text[], $6::text[]) AS o (id, parent, level, name, code)
    RETURNING *
)
SELECT * FROM founded ORDER BY entity_level, array_position($2::uuid[], entity_id)

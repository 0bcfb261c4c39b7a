-- Organizations of a tenant, inactive ones too; parents come first by level.
-- $1 tenant, $2 app -> rows of entities with key, version, created_at, changed_at, industry, website
SELECT e.entity_id::text AS key, e.headwater_version AS version,
       e.created_at AT TIME ZONE 'UTC' AS created_at, e.updated_at AT TIME ZONE 'UTC' AS changed_at,
       e.entity_id, e.tenant_id, e.parent_entity_id, e.entity_level, e.entity_name, e.entity_code, e.description,
       e.organization_type, e.is_active, e.created_by, e.updated_at, t.industry, t.website
  FROM entities AS e
  JOIN tenants AS t USING (tenant_id)
 WHERE e.tenant_id = $1::text::uuid AND e.entity_type = 'organization' AND $2::text IS NOT NULL

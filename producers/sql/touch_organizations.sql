-- Draw new versions for the organizations of a tenant, since what they say of the tenant changed.
-- $1 tenant -> the rows
UPDATE entities
   SET headwater_version = headwater.next_version(), headwater_xid = pg_current_xact_id()
 WHERE tenant_id = $1::text::uuid AND entity_type = 'organization'
RETURNING *

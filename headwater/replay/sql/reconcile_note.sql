-- Add to the audit trail of reconciliations.
-- $1 actor, $2 tenant, $3 app, $4 what, $5 detail -> nothing
INSERT INTO headwater.reconcile_event (actor, tenant, app, what, detail) VALUES ($1, $2, $3, $4, $5)

-- The audit trail of a tenant's application, newest first.
-- $1 tenant, $2 app, $3 at most -> (at, actor, what, detail)
SELECT at, actor, what, detail FROM headwater.reconcile_event
 WHERE tenant = $1 AND app = $2 ORDER BY id DESC LIMIT $3

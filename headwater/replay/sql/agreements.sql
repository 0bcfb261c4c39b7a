-- What is known of a tenant's applications, by subject.
-- $1 tenant or null, $2 app or null -> rows
SELECT * FROM headwater.agreement
 WHERE ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR app = $2)
 ORDER BY tenant, app, subject

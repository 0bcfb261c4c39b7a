-- When each tenant's application was compared last, by its oldest subject.
-- nothing -> (tenant, app, age in seconds)
SELECT tenant, app, extract(epoch FROM clock_timestamp() - min(checked_at))::float8 AS age
  FROM headwater.agreement GROUP BY tenant, app

-- The balance of an allocation from what old producers said: the latest total, and what was added after it.
-- $1 tenant, $2 allocation -> nothing
WITH said AS (
    SELECT * FROM crm.credit_increments WHERE tenant_id = $1::text::uuid AND allocation_id = $2
), total AS (
    SELECT amount, said_at FROM said WHERE cumulative ORDER BY said_at DESC, event_id LIMIT 1
), balance AS (
    SELECT coalesce((SELECT amount FROM total), 0)
           + coalesce(sum(amount) FILTER (WHERE NOT cumulative
                                            AND said_at > coalesce((SELECT said_at FROM total), '-infinity')), 0) AS allocated,
           (SELECT available_credits FROM said WHERE available_credits IS NOT NULL ORDER BY said_at DESC, event_id LIMIT 1)
               AS available
      FROM said
)
UPDATE crm.credits AS c
   SET allocated_credits = balance.allocated, available_credits = coalesce(balance.available, balance.allocated),
       used_credits = greatest(0, balance.allocated - coalesce(balance.available, balance.allocated))
  FROM balance
 WHERE c.tenant_id = $1::text::uuid AND c.allocation_id = $2

-- Write down that a part of retention was done.
-- $1 what, $2 how much went, $3 what held the rest or '' -> nothing
INSERT INTO headwater.upkeep (what, removed, detail) VALUES ($1, $2, $3)
ON CONFLICT (what) DO UPDATE SET done_at = clock_timestamp(), removed = excluded.removed, detail = excluded.detail

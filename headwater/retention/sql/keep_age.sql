-- Remember a look at the outbox.
-- $1 when, $2 when its oldest thing was said -> nothing
INSERT INTO headwater.outbox_age (at, said) VALUES ($1, $2) ON CONFLICT DO NOTHING

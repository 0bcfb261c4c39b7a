-- Which database this is to Redis, and how often it was looked at.
-- $1 app -> (incarnation, beat, heard); made when there is none
INSERT INTO headwater.beat AS b (app) VALUES ($1) ON CONFLICT (app) DO UPDATE SET app = b.app
RETURNING incarnation::text AS incarnation, beat, heard

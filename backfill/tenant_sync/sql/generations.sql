-- Generations of an application's subjects that differ from the first.
-- $1 app -> (subject, generation)
SELECT subject, generation FROM headwater.generation WHERE app = $1

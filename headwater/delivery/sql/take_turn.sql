-- Take a turn that is over, or that ends later than any does: then the clock went back since. Waits for the transactions that checked it.
-- $1 app, $2 holder, $3 seconds -> the new epoch, or no row
WITH over AS (SELECT app FROM headwater.turn WHERE app = $1 
                 AND until NOT BETWEEN clock_timestamp() AND clock_timestamp() + interval '10 minutes' + 2 * $3::float8 * interval '1 second'
                 FOR UPDATE)
UPDATE headwater.turn AS t
   SET holder = $2, epoch = t.epoch + 1, until = clock_timestamp() + $3::float8 * interval '1 second'
  FROM over WHERE t.app = over.app
RETURNING t.epoch

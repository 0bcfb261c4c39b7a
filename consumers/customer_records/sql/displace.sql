-- Take an address away from the record that has it: its own later copy is on the way, or somebody has to look.
-- index, id of who has it now -> id of who had it, or no row
UPDATE customer_sync.record SET email_index = NULL WHERE email_index = $1 AND id <> $2 RETURNING id

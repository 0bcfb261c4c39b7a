-- Let a table say of which application a row moved away; with nulls from $4 to $8, no longer.
-- $1 table, $2 tenant column, $3 key column, $4 column of the application, $5 type, $6 schema version, $7 data, $8 op, $9 realm -> nothing
SELECT headwater.attach_moves(
    $1::text::regclass, $2::text, $3::text, $4::text, $5::text, $6::int, $7::text, $8::text, $9::text)

-- Give a table its version columns and triggers; harmless when it has them.
-- $1 table, $2 subject, $3 tenant column, $4 key column, $5 watched columns or null, $6 whether keys come back,
-- $7 realm where there is no tenant column -> nothing
SELECT headwater.attach($1::text::regclass, $2::text, $3::text, $4::text, $5::text[], $6::bool, $7::text)

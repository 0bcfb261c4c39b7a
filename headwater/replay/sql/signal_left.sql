-- Whether anything of an application is not known to agree.
-- $1 app -> true or false
SELECT EXISTS (SELECT FROM headwater.agreement WHERE app = $1 AND state <> 'agreed') AS something

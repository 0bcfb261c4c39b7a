-- Databases of the applications, on the server that has the wrapper's. Run once, when the data directory is made.
-- nothing -> databases crm and hr
CREATE DATABASE crm;
CREATE DATABASE hr;

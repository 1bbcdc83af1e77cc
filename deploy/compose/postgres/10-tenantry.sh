#!/bin/sh
# Run once, by the image, when the data folder is new: the migrator's role, which is no superuser, and nobody else's way in.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$TENANTRY_DATABASE_PASSWORD" -U postgres -d postgres <<'SQL'
CREATE ROLE tenantry LOGIN CREATEDB CREATEROLE PASSWORD :'password';
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE postgres TO tenantry;
SQL

#!/bin/sh
# Run once, by the image, when the data folder is new: the migrator's account. It grants what it has, because companies'
# accounts get their rights from it; PROCESS and CONNECTION ADMIN let it end a company's connections before a drop.
set -eu
mariadb -u root -p"$MARIADB_ROOT_PASSWORD" <<SQL
CREATE USER 'tenantry'@'%' IDENTIFIED BY '$TENANTRY_DATABASE_PASSWORD';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE TEMPORARY TABLES, LOCK TABLES,
    CREATE VIEW, SHOW VIEW, TRIGGER, EVENT, EXECUTE, CREATE ROUTINE, ALTER ROUTINE, SHOW DATABASES, CREATE USER, RELOAD,
    PROCESS, CONNECTION ADMIN ON *.* TO 'tenantry'@'%' WITH GRANT OPTION;
SQL

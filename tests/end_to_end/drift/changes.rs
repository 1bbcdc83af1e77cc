//! What people do to a database by hand, one thing at a time.

use tenantry_api::migrator::v1::DriftChange::{self, Changed, Missing, Unexpected};
use tenantry_api::migrator::v1::DriftObjectKind::{self, Column, Constraint, Grant, Index, Owner, Role, Table};
use tenantry_testkit::sandbox::Sandbox;

/// In its SQL and its name `{tenant}` is the database and its role, `{prefix}` what every name begins with.
pub(super) struct Change {
    pub(super) make: String,
    pub(super) undo: String,
    /// The one finding in between.
    pub(super) change: DriftChange,
    pub(super) kind: DriftObjectKind,
    pub(super) name: &'static str,
}

type Row = (&'static str, &'static str, DriftChange, DriftObjectKind, &'static str);

const ON_A_SERVER: &[Row] = &[
    // A default.
    (
        "ALTER TABLE people ALTER revision SET DEFAULT 1",
        "ALTER TABLE people ALTER revision DROP DEFAULT",
        Changed,
        Column,
        "people.revision",
    ),
    // A constraint.
    (
        "ALTER TABLE people DROP CONSTRAINT ck_people_kind",
        "ALTER TABLE people ADD CONSTRAINT ck_people_kind CHECK (kind IN ('customer', 'agent', 'staff'))",
        Missing,
        Constraint,
        "people.ck_people_kind",
    ),
    // A table, which takes its columns, its keys and its rights along.
    ("CREATE TABLE extra (id int PRIMARY KEY)", "DROP TABLE extra", Unexpected, Table, "extra"),
];

const POSTGRES: &[Row] = &[
    (
        "ALTER TABLE people ALTER title TYPE varchar(41)",
        "ALTER TABLE people ALTER title TYPE varchar(40)",
        Changed,
        Column,
        "people.title",
    ),
    (
        "DROP INDEX ix_people_kind",
        "SET ROLE {prefix}owner; CREATE INDEX ix_people_kind ON people (kind)",
        Missing,
        Index,
        "people.ix_people_kind",
    ),
    (
        "ALTER TABLE places DROP COLUMN revision",
        "ALTER TABLE places ADD COLUMN revision bigint NOT NULL DEFAULT 1",
        Missing,
        Column,
        "places.revision",
    ),
    (
        "GRANT TRUNCATE ON people TO {prefix}tenants",
        "REVOKE TRUNCATE ON people FROM {prefix}tenants",
        Changed,
        Grant,
        "people to {prefix}tenants",
    ),
    (
        "GRANT INSERT ON tenantry_migrations TO {tenant}",
        "REVOKE INSERT ON tenantry_migrations FROM {tenant}",
        Unexpected,
        Grant,
        "tenantry_migrations to <tenant>",
    ),
    (
        "GRANT CONNECT ON DATABASE {tenant} TO PUBLIC",
        "REVOKE CONNECT ON DATABASE {tenant} FROM PUBLIC",
        Unexpected,
        Grant,
        "<database> to PUBLIC",
    ),
    ("ALTER TABLE people OWNER TO CURRENT_USER", "ALTER TABLE people OWNER TO {prefix}owner", Changed, Owner, "people"),
    ("ALTER ROLE {tenant} CREATEDB", "ALTER ROLE {tenant} NOCREATEDB", Changed, Role, "<tenant>"),
];

const MARIADB: &[Row] = &[
    (
        "ALTER TABLE people MODIFY title varchar(41)",
        "ALTER TABLE people MODIFY title varchar(40)",
        Changed,
        Column,
        "people.title",
    ),
    (
        "DROP INDEX ix_people_kind ON people",
        "CREATE INDEX ix_people_kind ON people (kind)",
        Missing,
        Index,
        "people.ix_people_kind",
    ),
    (
        "ALTER TABLE places DROP COLUMN revision",
        "ALTER TABLE places ADD COLUMN revision bigint NOT NULL DEFAULT 1",
        Missing,
        Column,
        "places.revision",
    ),
    (
        "GRANT DROP ON people TO '{tenant}'@'%'",
        "REVOKE DROP ON people FROM '{tenant}'@'%'",
        Changed,
        Grant,
        "people to <tenant>@%",
    ),
    (
        "GRANT INSERT ON tenantry_migrations TO '{tenant}'@'%'",
        "REVOKE INSERT ON tenantry_migrations FROM '{tenant}'@'%'",
        Unexpected,
        Grant,
        "tenantry_migrations to <tenant>@%",
    ),
    (
        "GRANT SELECT ON {prefix}central.* TO '{tenant}'@'%'",
        "REVOKE SELECT ON {prefix}central.* FROM '{tenant}'@'%'",
        Unexpected,
        Grant,
        "{prefix}central to <tenant>@%",
    ),
];

const SQLITE: &[Row] = &[
    ("CREATE TABLE extra (id int PRIMARY KEY)", "DROP TABLE extra", Unexpected, Table, "extra"),
    (
        "DROP INDEX ix_people_kind",
        "CREATE INDEX ix_people_kind ON people (kind)",
        Missing,
        Index,
        "people.ix_people_kind",
    ),
    (
        "ALTER TABLE places DROP COLUMN revision",
        "ALTER TABLE places ADD COLUMN revision integer NOT NULL DEFAULT 1",
        Missing,
        Column,
        "places.revision",
    ),
];

/// Of the text of the table, since SQLite has no statement that changes any of these.
const SQLITE_TEXT: &[Row] = &[
    (r#""title" varchar(40)"#, r#""title" varchar(41)"#, Changed, Column, "people.title"),
    (r#""revision" integer NOT NULL"#, r#""revision" integer NOT NULL DEFAULT 1"#, Changed, Column, "people.revision"),
    ("''staff''", "''staff'', ''robot''", Changed, Constraint, "people.ck_people_kind"),
];

pub(super) fn of(sandbox: &Sandbox) -> Vec<Change> {
    let plain = |list: &'static [Row]| {
        list.iter().map(|(make, undo, change, kind, name)| Change {
            make: (*make).to_owned(),
            undo: (*undo).to_owned(),
            change: *change,
            kind: *kind,
            name,
        })
    };
    let text = SQLITE_TEXT.iter().map(|(was, is, change, kind, name)| Change {
        make: rewrite(was, is),
        undo: rewrite(is, was),
        change: *change,
        kind: *kind,
        name,
    });
    match sandbox.on_server() {
        Some(server) if server.admin_url().starts_with("postgres") => {
            plain(ON_A_SERVER).chain(plain(POSTGRES)).collect()
        }
        Some(_) => plain(ON_A_SERVER).chain(plain(MARIADB)).collect(),
        None => plain(SQLITE).chain(text).collect(),
    }
}

fn rewrite(was: &str, is: &str) -> String {
    format!(
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, '{was}', '{is}') \
         WHERE type = 'table' AND name = 'people'; PRAGMA writable_schema = RESET"
    )
}

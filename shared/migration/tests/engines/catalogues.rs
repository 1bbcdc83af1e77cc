//! Each change of a database is found, alone and under its name.

use sea_orm::{ConnectionTrait, DatabaseConnection};
use tenantry_migration::{ObjectKind, Rollback, compare, migrate, rollback};

use crate::{
    fixtures::*,
    support::{Server, TestDb, catalogue_of},
};

/// A change by hand, what takes it back, and the finding in between.
type Change = (&'static str, &'static str, ObjectKind, &'static str);

const ANY_SERVER: &[Change] = &[
    (
        "ALTER TABLE things ALTER name SET DEFAULT 'x'",
        "ALTER TABLE things ALTER name DROP DEFAULT",
        ObjectKind::Column,
        "things.name",
    ),
    ("CREATE TABLE extra (id int PRIMARY KEY, name varchar(20))", "DROP TABLE extra", ObjectKind::Table, "extra"),
    (
        "ALTER TABLE things DROP COLUMN last",
        "ALTER TABLE things ADD COLUMN last int",
        ObjectKind::Column,
        "things.last",
    ),
    ("CREATE VIEW few AS SELECT id FROM things", "DROP VIEW few", ObjectKind::View, "few"),
    (
        "ALTER TABLE things DROP CONSTRAINT ck_kind",
        "ALTER TABLE things ADD CONSTRAINT ck_kind CHECK (kind > 0)",
        ObjectKind::Constraint,
        "things.ck_kind",
    ),
];

const POSTGRES: &[Change] = &[
    (
        "ALTER TABLE things ALTER name TYPE varchar(21)",
        "ALTER TABLE things ALTER name TYPE varchar(20)",
        ObjectKind::Column,
        "things.name",
    ),
    (
        "ALTER TABLE things ALTER name DROP NOT NULL",
        "ALTER TABLE things ALTER name SET NOT NULL",
        ObjectKind::Column,
        "things.name",
    ),
    (
        "ALTER TABLE things ALTER kind ADD GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE things ALTER kind DROP IDENTITY",
        ObjectKind::Column,
        "things.kind",
    ),
    ("CREATE INDEX ix_more ON things (kind) WHERE kind > 1", "DROP INDEX ix_more", ObjectKind::Index, "things.ix_more"),
    (
        "DROP INDEX ix_kind; CREATE INDEX ix_kind ON things (kind DESC)",
        "DROP INDEX ix_kind; CREATE INDEX ix_kind ON things (kind)",
        ObjectKind::Index,
        "things.ix_kind",
    ),
    (
        "ALTER TABLE things DROP CONSTRAINT ck_kind, ADD CONSTRAINT ck_kind CHECK (kind > 0) NOT VALID",
        "ALTER TABLE things VALIDATE CONSTRAINT ck_kind",
        ObjectKind::Constraint,
        "things.ck_kind",
    ),
    (
        "ALTER TABLE things ADD UNIQUE (last)",
        "ALTER TABLE things DROP CONSTRAINT things_last_key",
        ObjectKind::Constraint,
        "things.things_last_key",
    ),
    ("CREATE SEQUENCE numbers", "DROP SEQUENCE numbers", ObjectKind::Sequence, "numbers"),
    ("CREATE MATERIALIZED VIEW kept AS SELECT 1 AS one", "DROP MATERIALIZED VIEW kept", ObjectKind::View, "kept"),
    (
        "CREATE FUNCTION one(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION one(int)",
        ObjectKind::Function,
        "one(integer)",
    ),
    ("CREATE TYPE mood AS ENUM ('good', 'bad')", "DROP TYPE mood", ObjectKind::Type, "mood"),
    (
        "CREATE SCHEMA apart; CREATE TABLE apart.things (id int)",
        "DROP SCHEMA apart CASCADE",
        ObjectKind::Schema,
        "schema apart",
    ),
    (
        "ALTER TABLE things ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE things DISABLE ROW LEVEL SECURITY",
        ObjectKind::Table,
        "things",
    ),
    ("CREATE POLICY mine ON things USING (kind > 0)", "DROP POLICY mine ON things", ObjectKind::Policy, "things.mine"),
    (
        "CREATE RULE silent AS ON DELETE TO things DO INSTEAD NOTHING",
        "DROP RULE silent ON things",
        ObjectKind::Rule,
        "things.silent",
    ),
    ("CREATE STATISTICS pairs ON id, kind FROM things", "DROP STATISTICS pairs", ObjectKind::Statistics, "pairs"),
    ("GRANT SELECT ON things TO PUBLIC", "REVOKE SELECT ON things FROM PUBLIC", ObjectKind::Grant, "things to PUBLIC"),
    (
        "GRANT UPDATE (name) ON things TO PUBLIC",
        "REVOKE UPDATE (name) ON things FROM PUBLIC",
        ObjectKind::Grant,
        "things.name to PUBLIC",
    ),
    (
        "REVOKE DELETE ON things FROM CURRENT_USER",
        "GRANT DELETE ON things TO CURRENT_USER",
        ObjectKind::Grant,
        "things to <owner>",
    ),
    (
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''8MB''', current_database()); END $$",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET work_mem', current_database()); END $$",
        ObjectKind::Database,
        "<database>",
    ),
    (
        "DO $$ BEGIN EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database()); END $$",
        "DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO PUBLIC', current_database()); END $$",
        ObjectKind::Grant,
        "<database> to PUBLIC",
    ),
];

const MARIADB: &[Change] = &[
    (
        "ALTER TABLE things MODIFY name varchar(21) NOT NULL",
        "ALTER TABLE things MODIFY name varchar(20) NOT NULL",
        ObjectKind::Column,
        "things.name",
    ),
    (
        "ALTER TABLE things MODIFY name varchar(20)",
        "ALTER TABLE things MODIFY name varchar(20) NOT NULL",
        ObjectKind::Column,
        "things.name",
    ),
    (
        "ALTER TABLE things MODIFY name varchar(20) COLLATE latin1_bin NOT NULL",
        "ALTER TABLE things MODIFY name varchar(20) NOT NULL",
        ObjectKind::Column,
        "things.name",
    ),
    (
        "CREATE INDEX ix_more ON things (name(3), kind)",
        "DROP INDEX ix_more ON things",
        ObjectKind::Index,
        "things.ix_more",
    ),
    (
        "ALTER TABLE things DROP INDEX ix_kind, ADD UNIQUE INDEX ix_kind (kind)",
        "ALTER TABLE things DROP INDEX ix_kind, ADD INDEX ix_kind (kind)",
        ObjectKind::Index,
        "things.ix_kind",
    ),
    ("ALTER TABLE things ROW_FORMAT = COMPACT", "ALTER TABLE things ROW_FORMAT = DEFAULT", ObjectKind::Table, "things"),
    (
        "CREATE TRIGGER watch BEFORE INSERT ON things FOR EACH ROW SET NEW.last = 1",
        "DROP TRIGGER watch",
        ObjectKind::Trigger,
        "things.watch",
    ),
    (
        "CREATE FUNCTION one(a int) RETURNS int DETERMINISTIC RETURN 1",
        "DROP FUNCTION one",
        ObjectKind::Function,
        "function one",
    ),
    (
        "CREATE EVENT hourly ON SCHEDULE EVERY 1 HOUR DO DELETE FROM things",
        "DROP EVENT hourly",
        ObjectKind::Event,
        "hourly",
    ),
    ("CREATE SEQUENCE numbers", "DROP SEQUENCE numbers", ObjectKind::Sequence, "numbers"),
    (
        "ALTER TABLE things ADD COLUMN labels json",
        "ALTER TABLE things DROP COLUMN labels",
        ObjectKind::Column,
        "things.labels",
    ),
];

const SQLITE: &[Change] = &[
    ("CREATE TABLE extra (id int PRIMARY KEY, name varchar(20))", "DROP TABLE extra", ObjectKind::Table, "extra"),
    (
        "ALTER TABLE things DROP COLUMN last",
        "ALTER TABLE things ADD COLUMN last int",
        ObjectKind::Column,
        "things.last",
    ),
    ("CREATE VIEW few AS SELECT id FROM things", "DROP VIEW few", ObjectKind::View, "few"),
    ("CREATE INDEX ix_more ON things (kind) WHERE kind > 1", "DROP INDEX ix_more", ObjectKind::Index, "things.ix_more"),
    (
        "DROP INDEX ix_kind; CREATE INDEX ix_kind ON things (kind DESC)",
        "DROP INDEX ix_kind; CREATE INDEX ix_kind ON things (kind)",
        ObjectKind::Index,
        "things.ix_kind",
    ),
    (
        "CREATE TRIGGER watch AFTER INSERT ON things BEGIN DELETE FROM things; END",
        "DROP TRIGGER watch",
        ObjectKind::Trigger,
        "things.watch",
    ),
];

const SETUP: &[&str] = &[
    "CREATE TABLE things (id int NOT NULL PRIMARY KEY, name varchar(20) NOT NULL, kind int NOT NULL, last int, \
     CONSTRAINT ck_kind CHECK (kind > 0))",
    "CREATE INDEX ix_kind ON things (kind)",
];

pub(crate) async fn every_change_is_one_finding(test: TestDb) {
    let db = test.connect().await;
    for statement in SETUP {
        run(&db, statement).await;
    }
    let lists: &[&[Change]] = match test.server {
        Server::Postgres => &[ANY_SERVER, POSTGRES],
        Server::MariaDb => &[ANY_SERVER, MARIADB],
        Server::Sqlite => &[SQLITE],
    };
    let before = catalogue_of(&db).await;
    for (change, undo, kind, name) in lists.concat() {
        run(&db, change).await;
        let findings = compare(&before, &catalogue_of(&db).await);
        let told: Vec<_> = findings.iter().map(|finding| (finding.kind, finding.name.as_str())).collect();
        // A column that becomes an identity gets a sequence of its own, and its rights.
        let own = told.iter().filter(|(_, name)| !name.starts_with("things_kind_seq")).copied().collect::<Vec<_>>();
        assert_eq!(own, [(kind, name)], "{change}");
        run(&db, undo).await;
        assert_eq!(compare(&before, &catalogue_of(&db).await), [], "{undo}");
    }
}

/// SQLite adds a column at the end, and so does everybody else.
pub(crate) async fn two_databases_of_one_set_are_equal(test: TestDb) {
    let (db, set) = (test.connect().await, three());
    migrate(&db, &set, None, &run_at(0)).await.unwrap();
    let first = catalogue_of(&db).await;
    assert!(first.iter().any(|object| object.name == "people" && object.kind == ObjectKind::Table));
    rollback(&db, &set, Rollback::All, &run_at(1)).await.unwrap();
    migrate(&db, &set, None, &run_at(2)).await.unwrap();
    assert_eq!(compare(&first, &catalogue_of(&db).await), []);
}

async fn run(db: &DatabaseConnection, sql: &str) {
    db.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

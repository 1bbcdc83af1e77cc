//! The catalogue of a database as text, to compare two of them.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

/// Columns, indexes, constraints and sequences, one per line, sorted.
pub(crate) async fn catalogue(db: &DatabaseConnection) -> Vec<String> {
    let queries: &[&str] = match db.get_database_backend() {
        DbBackend::Postgres => &POSTGRES,
        DbBackend::MySql => &MARIADB,
        _ => &SQLITE,
    };
    let mut lines = Vec::new();
    for query in queries {
        lines.extend(lines_of(db, query).await);
    }
    lines.sort();
    lines
}

/// Lines of either that the other lacks: what a failed comparison has to show.
pub(crate) fn difference(left: &[String], right: &[String]) -> Vec<String> {
    let lacks = |sign: &str, from: &[String], other: &[String]| -> Vec<String> {
        let missing = from.iter().filter(|line| !other.contains(line));
        missing.map(|line| format!("{sign} {line}")).collect()
    };
    [lacks("-", left, right), lacks("+", right, left)].concat()
}

/// `table.column` of every table and whether it may be null: what the engines must agree on.
pub(crate) async fn columns(db: &DatabaseConnection) -> Vec<String> {
    let query = match db.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT concat(table_name, '.', column_name, ' ', is_nullable) AS line FROM information_schema.columns \
             WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"
        }
        DbBackend::MySql => {
            "SELECT CONCAT(table_name, '.', column_name, ' ', is_nullable) AS line FROM information_schema.columns \
             WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position"
        }
        _ => {
            "SELECT m.name || '.' || c.name || iif(c.\"notnull\", ' NO', ' YES') AS line FROM sqlite_master m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid"
        }
    };
    let mut lines = lines_of(db, query).await;
    lines.sort();
    lines
}

async fn lines_of(db: &DatabaseConnection, query: &str) -> Vec<String> {
    let statement = Statement::from_string(db.get_database_backend(), query);
    let rows = db.query_all_raw(statement).await.unwrap_or_else(|error| panic!("{query}: {error}"));
    rows.iter().map(|row| row.try_get("", "line").expect("a line")).collect()
}

const POSTGRES: [&str; 4] = [
    "SELECT concat_ws(' ', 'column', table_name, ordinal_position, column_name, data_type, \
     coalesce(character_maximum_length::text, '-'), coalesce(numeric_precision::text, '-'), \
     coalesce(datetime_precision::text, '-'), is_nullable, is_identity, coalesce(column_default, '-')) AS line \
     FROM information_schema.columns WHERE table_schema = 'public'",
    "SELECT concat('index ', indexdef) AS line FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT concat('constraint ', conrelid::regclass, ' ', conname, ' ', pg_get_constraintdef(oid)) AS line \
     FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
    "SELECT concat_ws(' ', 'sequence', sequencename, data_type, start_value, increment_by) AS line \
     FROM pg_sequences WHERE schemaname = 'public'",
];

const MARIADB: [&str; 4] = [
    "SELECT CONCAT_WS(' ', 'column', table_name, ordinal_position, column_name, column_type, is_nullable, extra, \
     COALESCE(collation_name, '-'), COALESCE(column_default, '-')) AS line \
     FROM information_schema.columns WHERE table_schema = DATABASE()",
    "SELECT CONCAT_WS(' ', 'index', table_name, index_name, seq_in_index, column_name, non_unique, \
     COALESCE(sub_part, '-')) AS line FROM information_schema.statistics WHERE table_schema = DATABASE()",
    "SELECT CONCAT_WS(' ', 'foreign key', table_name, constraint_name, referenced_table_name, delete_rule, \
     update_rule) AS line FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE()",
    "SELECT CONCAT_WS(' ', 'check', table_name, constraint_name, check_clause) AS line \
     FROM information_schema.check_constraints WHERE constraint_schema = DATABASE()",
];

const SQLITE: [&str; 1] = [
    "SELECT type || ' ' || tbl_name || ' ' || name || ' ' || coalesce(sql, '-') AS line FROM sqlite_master WHERE name <> 'sqlite_sequence'",
];

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement, TransactionTrait};

use crate::{
    apply::Run,
    engine::Engine,
    error::MigrationError,
    ledger::{self, LEDGER, is_missing_table},
    lock::{self, SessionLock},
    postgres::{Head, Outcome, guard},
    progress::PROGRESS,
    set::MigrationSet,
};

/// Drops everything in a database, whatever made it, and empties the ledger, which itself stays with its grants.
/// Under the migration lock; in one transaction where the engine has DDL in one.
///
/// # Errors
/// [`MigrationError::Locked`] and [`MigrationError::Database`]. On MariaDB some of it may be gone then; repeat it.
pub async fn wipe(db: &DatabaseConnection, set: &MigrationSet, run: &Run) -> Result<(), MigrationError> {
    match Engine::of(db.get_database_backend()) {
        Engine::Postgres => postgres(db, set, run).await,
        Engine::MariaDb => {
            let lock = SessionLock::MariaDb;
            lock.take(db, run.lock_wait).await?;
            let wiped = mariadb(db).await;
            lock.release(db).await;
            wiped
        }
        Engine::Sqlite => sqlite(db, run).await,
    }
}

async fn postgres(db: &DatabaseConnection, set: &MigrationSet, run: &Run) -> Result<(), MigrationError> {
    let entries = ledger::read(db, set).await?;
    let head = Head { set, create: entries.is_none(), seen: entries.unwrap_or_default().len(), run };
    let tx = db.begin().await.map_err(MigrationError::database("starting a transaction"))?;
    for statement in head.statements().chain([POSTGRES.to_owned(), format!("DELETE FROM {LEDGER}")]) {
        if let Err(source) = tx.execute_unprepared(&statement).await {
            return Err(match guard(&source) {
                Some(Outcome::Locked | Outcome::Moved) => {
                    MigrationError::Locked { waited: std::time::Duration::ZERO, holder: None }
                }
                Some(Outcome::Blocked) => {
                    MigrationError::Blocked { version: "(everything)".to_owned(), waited: run.lock_timeout }
                }
                _ => wiping(source),
            });
        }
    }
    tx.commit().await.map_err(wiping)
}

fn wiping(source: DbErr) -> MigrationError {
    MigrationError::Database { doing: "dropping everything", source }
}

/// What extensions own stays with them.
const POSTGRES: &str = "DO $$ DECLARE drops text; BEGIN \
    SELECT string_agg(sql, '; ' ORDER BY rank) INTO drops FROM ( \
      SELECT 1 AS rank, format('DROP %s IF EXISTS %s CASCADE', CASE c.relkind WHEN 'v' THEN 'VIEW' \
        WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, \
        c.oid::regclass) AS sql FROM pg_class c \
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('v', 'm', 'r', 'p', 'S', 'f') \
        AND NOT c.relispartition AND c.relname <> 'tenantry_migrations' \
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('e', 'a', 'i')) \
      UNION ALL SELECT 2, format('DROP ROUTINE IF EXISTS %s CASCADE', p.oid::regprocedure) FROM pg_proc p \
      WHERE p.pronamespace = 'public'::regnamespace \
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') \
      UNION ALL SELECT 3, format('DROP TYPE IF EXISTS %s CASCADE', t.oid::regtype) FROM pg_type t \
      WHERE t.typnamespace = 'public'::regnamespace AND t.typtype IN ('e', 'd', 'r') \
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = t.oid AND d.deptype = 'e')) AS everything; \
    IF drops IS NOT NULL THEN EXECUTE drops; END IF; END $$";

async fn mariadb(db: &DatabaseConnection) -> Result<(), MigrationError> {
    let tables = format!(
        "SELECT CONVERT(CONCAT('DROP ', IF(table_type = 'VIEW', 'VIEW', 'TABLE'), ' IF EXISTS `', \
         REPLACE(table_name, '`', '``'), '`') USING utf8mb4) AS statement FROM information_schema.tables \
         WHERE table_schema = DATABASE() AND table_name NOT IN ('{LEDGER}', '{PROGRESS}')"
    );
    let routines = "SELECT CONVERT(CONCAT('DROP ', routine_type, ' IF EXISTS `', REPLACE(routine_name, '`', '``'), '`') \
         USING utf8mb4) AS statement FROM information_schema.routines WHERE routine_schema = DATABASE()";
    let drops = [listed(db, &tables).await?, listed(db, routines).await?].concat();
    let mut statements = vec!["SET SESSION foreign_key_checks = 0".to_owned()];
    statements.extend(drops);
    statements.push("SET SESSION foreign_key_checks = 1".to_owned());
    for statement in statements {
        db.execute_unprepared(&statement).await.map_err(wiping)?;
    }
    for table in [LEDGER, PROGRESS] {
        empty(db, table).await?;
    }
    Ok(())
}

async fn sqlite(db: &DatabaseConnection, run: &Run) -> Result<(), MigrationError> {
    // Only outside a transaction; the pool is this one connection.
    db.execute_unprepared("PRAGMA foreign_keys = OFF").await.map_err(wiping)?;
    let wiped = sqlite_in_transaction(db, run).await;
    db.execute_unprepared("PRAGMA foreign_keys = ON").await.map_err(wiping)?;
    wiped
}

async fn sqlite_in_transaction(db: &DatabaseConnection, run: &Run) -> Result<(), MigrationError> {
    let tx = lock::sqlite(db, run.lock_wait).await?;
    let query = format!(
        "SELECT 'DROP ' || type || ' IF EXISTS \"' || replace(name, '\"', '\"\"') || '\"' AS statement \
         FROM sqlite_master WHERE type IN ('view', 'trigger', 'table') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         AND name <> '{LEDGER}' ORDER BY type DESC"
    );
    for statement in listed(&tx, &query).await? {
        tx.execute_unprepared(&statement).await.map_err(wiping)?;
    }
    empty(&tx, LEDGER).await?;
    tx.commit().await.map_err(wiping)
}

async fn empty(conn: &impl ConnectionTrait, table: &str) -> Result<(), MigrationError> {
    match conn.execute_unprepared(&format!("DELETE FROM {table}")).await {
        Err(source) if !is_missing_table(&source) => Err(wiping(source)),
        Ok(_) | Err(_) => Ok(()),
    }
}

async fn listed(conn: &impl ConnectionTrait, query: &str) -> Result<Vec<String>, MigrationError> {
    let statement = Statement::from_string(conn.get_database_backend(), query);
    let rows = conn.query_all_raw(statement).await.map_err(wiping)?;
    rows.iter().map(|row| row.try_get("", "statement").map_err(wiping)).collect()
}

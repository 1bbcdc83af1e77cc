//! What a database that something else has migrated is at.

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, TransactionTrait};

use crate::{
    apply::Run,
    engine::Engine,
    error::MigrationError,
    ledger::{self, LEDGER, is_missing_table},
    set::MigrationSet,
};

/// The ledger of SeaORM's own migrator.
const SEAQL: &str = "seaql_migrations";

/// The versions that [`baseline`] would note, in order; empty where the ledger has rows already, and where there is
/// nothing in the database at all. Only reads.
///
/// # Errors
/// [`MigrationError::NoSuchVersion`] for a version that is not in the set, [`MigrationError::UnknownVersion`] for one
/// that SeaORM's migrator has noted, [`MigrationError::NoBaseline`] where nothing says what the tables are.
pub async fn baseline_versions(
    conn: &DatabaseConnection,
    set: &MigrationSet,
    version: Option<&str>,
) -> Result<Vec<String>, MigrationError> {
    set.must_contain(version)?;
    if ledger::read(conn, set).await?.is_some_and(|entries| !entries.is_empty()) {
        return Ok(Vec::new());
    }
    if let Some(version) = version {
        return Ok(set.versions().filter(|known| *known <= version).map(str::to_owned).collect());
    }
    match imported(conn, set).await? {
        Some(versions) => Ok(versions),
        None if has_tables(conn).await? => Err(MigrationError::NoBaseline { set: set.name() }),
        None => Ok(Vec::new()),
    }
}

/// Notes in the ledger what a database has seen without us: every migration up to `version`, or where none is given
/// those that SeaORM's migrator has noted in `seaql_migrations`. Runs none of them. A ledger that has rows of the set
/// stays as it is, so a repeated call changes nothing. Gives the versions that it has noted.
///
/// Nobody else may migrate the database meanwhile; `conn` is a pool of one connection.
///
/// # Errors
/// Those of [`baseline_versions`].
pub async fn baseline(
    conn: &DatabaseConnection,
    set: &MigrationSet,
    version: Option<&str>,
    run: &Run,
) -> Result<Vec<String>, MigrationError> {
    let versions = baseline_versions(conn, set, version).await?;
    let backend = conn.get_database_backend();
    let (engine, recordings) = (Engine::of(backend), set.recordings(backend)?);
    let noting = MigrationError::database("noting a baseline");
    // MariaDB commits here; an empty ledger is no baseline yet.
    conn.execute_unprepared(&ledger::create(engine)).await.map_err(noting)?;
    let tx = conn.begin().await.map_err(MigrationError::database("noting a baseline"))?;
    for (known, recording) in set.versions().zip(recordings) {
        if versions.iter().any(|version| version == known) {
            let row = ledger::insert(engine, set, known, &recording.checksum, "0", run);
            tx.execute_unprepared(&row).await.map_err(MigrationError::database("noting a baseline"))?;
        }
    }
    tx.commit().await.map_err(MigrationError::database("noting a baseline"))?;
    Ok(versions)
}

/// The names of the sets that a database's ledger has rows of; none where it has no ledger.
///
/// # Errors
/// [`MigrationError::Database`].
pub async fn ledger_sets(conn: &impl ConnectionTrait) -> Result<Vec<String>, MigrationError> {
    let backend = conn.get_database_backend();
    let set = Engine::of(backend).quote("set");
    texts(conn, &format!("SELECT DISTINCT {set} AS name FROM {LEDGER} ORDER BY 1")).await.map(Option::unwrap_or_default)
}

async fn imported(conn: &impl ConnectionTrait, set: &MigrationSet) -> Result<Option<Vec<String>>, MigrationError> {
    let Some(versions) = texts(conn, &format!("SELECT version AS name FROM {SEAQL}")).await? else { return Ok(None) };
    match versions.iter().find(|version| !set.contains(version)) {
        Some(unknown) => Err(MigrationError::UnknownVersion { set: set.name(), version: unknown.clone() }),
        None => Ok(Some(
            set.versions().filter(|known| versions.iter().any(|has| has == known)).map(str::to_owned).collect(),
        )),
    }
}

async fn has_tables(conn: &impl ConnectionTrait) -> Result<bool, MigrationError> {
    let query = match Engine::of(conn.get_database_backend()) {
        Engine::Postgres => {
            "SELECT relname::text AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace \
             AND relkind IN ('r', 'p', 'v', 'm', 'f')"
        }
        Engine::MariaDb => {
            "SELECT CONVERT(table_name USING utf8mb4) AS name FROM information_schema.tables \
             WHERE table_schema = DATABASE()"
        }
        Engine::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        }
    };
    let tables = texts(conn, query).await?.unwrap_or_default();
    Ok(tables.iter().any(|table| table != LEDGER))
}

/// A column of text called `name`; `None` where the table is not there.
async fn texts(conn: &impl ConnectionTrait, query: &str) -> Result<Option<Vec<String>>, MigrationError> {
    let reading = || MigrationError::database("reading what it has seen");
    match conn.query_all_raw(Statement::from_string(conn.get_database_backend(), query)).await {
        Ok(rows) => {
            let names = rows.iter().map(|row| row.try_get("", "name")).collect::<Result<_, _>>();
            names.map(Some).map_err(reading())
        }
        Err(error) if is_missing_table(&error) => Ok(None),
        Err(error) => Err(reading()(error)),
    }
}

//! `migrator migrate-central`: the central and the migrator's own databases, made
//! where they are absent, and migrated. Local, from database URLs, without a token.

use std::str::FromStr;

use sea_orm::{ConnectOptions, ConnectionTrait};
use sqlx::AssertSqlSafe;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection};
use tenantry_ids::{RunId, SystemIds};
use tenantry_migration::{MigrationError, MigrationSet, Run, migrate};
use tenantry_rpc::{Clock, SystemClock};
use url::Url;

use crate::ident::Ident;
use crate::servers::{AdminDb, ServerError, connect_one, sqlite_options};
use crate::sets;

/// The databases of the control plane.
#[derive(Debug, Clone, clap::Args)]
pub struct CentralUrls {
    /// The central database, which the catalog uses.
    #[arg(long, env = "CATALOG_DATABASE_URL", hide_env_values = true)]
    pub central_database_url: String,

    /// The migrator's own database.
    #[arg(long, env = "MIGRATOR_DATABASE_URL", hide_env_values = true)]
    pub migrator_database_url: String,
}

/// A control plane's database that is not ready.
#[derive(Debug, thiserror::Error)]
pub enum CentralError {
    /// The URL is none, or names no database.
    #[error("{0}")]
    Url(String),
    /// The database could not be made or reached.
    #[error("the {set} database cannot be made ready")]
    Database {
        /// Which.
        set: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The list of migrations is wrong.
    #[error(transparent)]
    Set(#[from] MigrationError),
}

/// What was done to one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CentralReport {
    /// The set's name: central or migrator.
    pub set: &'static str,
    /// The migrations that were applied; none when there was nothing to do.
    pub applied: Vec<String>,
}

impl std::fmt::Display for CentralReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.applied.as_slice() {
            [] => write!(f, "{}: nothing to do", self.set),
            applied => write!(f, "{}: applied {}", self.set, applied.join(", ")),
        }
    }
}

/// Makes and migrates both. Repeating it does nothing.
pub async fn migrate_central(urls: &CentralUrls) -> Result<[CentralReport; 2], CentralError> {
    Ok([
        one(&urls.central_database_url, sets::central()?).await?,
        one(&urls.migrator_database_url, sets::migrator()?).await?,
    ])
}

async fn one(url: &str, set: MigrationSet) -> Result<CentralReport, CentralError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| CentralError::Database { set: set.name(), source };
    ensure_database(url).await?;
    let db = open_central(url, true).await.map_err(|error| failed(error.into()))?;
    if db.raw().get_database_backend() == sea_orm::DbBackend::Postgres {
        lock_out_tenants(db.raw()).await.map_err(|error| failed(error.into()))?;
    }
    let run = Run::new(RunId::new(&SystemIds).0, SystemClock.now());
    let migrated = migrate(db.raw(), &set, None, &run).await;
    db.close().await.map_err(|error| failed(error.into()))?;
    let applied = migrated.map_err(|error| failed(error.into()))?;
    Ok(CentralReport { set: set.name(), applied: applied.versions().map(str::to_owned).collect() })
}

/// Opens a database of the control plane, as whoever its URL names.
pub(crate) async fn open_central(url: &str, create: bool) -> Result<AdminDb, ServerError> {
    let mut options = ConnectOptions::new(url);
    options.map_sqlx_sqlite_opts(move |options| {
        let path = options.get_filename().to_owned();
        sqlite_options(options, &path, create)
    });
    connect_one(options).await.map(AdminDb::new)
}

/// Tenants' login roles are on the same server, as a rule, and PostgreSQL lets
/// everybody connect to a new database.
async fn lock_out_tenants(db: &sea_orm::DatabaseConnection) -> Result<(), sea_orm::DbErr> {
    let sql = "DO $$ BEGIN EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database()); END $$";
    db.execute_unprepared(sql).await.map(drop)
}

/// Creates the database that the URL names, where its server has none.
async fn ensure_database(url: &str) -> Result<(), CentralError> {
    let parsed = Url::parse(url).map_err(|error| CentralError::Url(format!("the database url is none: {error}")))?;
    let failed = |source: sqlx::Error| CentralError::Database { set: "maintenance", source: source.into() };
    match parsed.scheme() {
        "sqlite" => Ok(()),
        "postgres" | "postgresql" => ensure_postgres(url, database_of(&parsed)?).await.map_err(failed),
        "mysql" | "mariadb" => ensure_mysql(url, database_of(&parsed)?).await.map_err(failed),
        scheme => Err(CentralError::Url(format!("{scheme:?} is no engine of ours: postgres, mysql or sqlite"))),
    }
}

fn database_of(url: &Url) -> Result<Ident, CentralError> {
    Ident::new(url.path().trim_start_matches('/')).map_err(|error| CentralError::Url(error.to_string()))
}

async fn ensure_postgres(url: &str, name: Ident) -> Result<(), sqlx::Error> {
    let options = PgConnectOptions::from_str(url)?.disable_statement_logging();
    match PgConnection::connect_with(&options).await {
        Ok(there) => return there.close().await,
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(NO_SUCH_DATABASE) => {}
        Err(error) => return Err(error),
    }
    let mut maintenance = PgConnection::connect_with(&options.database("postgres")).await?;
    let create =
        format!("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'", name.quoted());
    let created = sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut maintenance).await;
    maintenance.close().await?;
    match created {
        // Another one that migrates at the same time has made it.
        Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42P04" | "23505")) => Ok(()),
        other => other.map(drop),
    }
}

/// SQLSTATE `invalid_catalog_name`.
const NO_SUCH_DATABASE: &str = "3D000";

async fn ensure_mysql(url: &str, name: Ident) -> Result<(), sqlx::Error> {
    let url = url.replacen("mariadb:", "mysql:", 1);
    let mut server = Url::parse(&url).map_err(|error| sqlx::Error::Configuration(error.into()))?;
    server.set_path("");
    let mut maintenance =
        MySqlConnection::connect_with(&MySqlConnectOptions::from_str(server.as_str())?.disable_statement_logging())
            .await?;
    let create =
        format!("CREATE DATABASE IF NOT EXISTS {} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", name.backticked());
    let created = sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut maintenance).await;
    maintenance.close().await?;
    created.map(drop)
}

impl From<ServerError> for CentralError {
    fn from(error: ServerError) -> Self {
        Self::Database { set: "control plane", source: error.into() }
    }
}

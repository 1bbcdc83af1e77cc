mod scratch;

use std::path::PathBuf;

use sea_orm::{ConnectOptions, DatabaseConnection};
use tenantry_migration::{MigrationSet, Run, migrate};

use self::scratch::InUse;
pub(crate) use self::scratch::SqliteScratch;
use super::{NewTenant, ServerError, connect_one};
use crate::ident::Ident;

/// A folder of SQLite files: the standalone instance's.
pub(crate) struct SqliteServer {
    folder: PathBuf,
    scratches: InUse,
}

impl SqliteServer {
    /// From `sqlite:/folder`.
    pub(crate) fn new(url: &str) -> Self {
        let folder = url.trim_start_matches("sqlite:");
        let folder = if folder.starts_with("//") { folder.trim_start_matches("//") } else { folder };
        Self { folder: folder.into(), scratches: InUse::default() }
    }

    pub(crate) async fn create(&self, new: &NewTenant, set: &MigrationSet, run: &Run) -> Result<(), ServerError> {
        tokio::fs::create_dir_all(&self.folder).await.map_err(ServerError::File)?;
        let db = self.connect(&new.name, true).await?;
        let migrated = migrate(&db, set, None, run).await;
        db.close().await?;
        Ok(migrated.map(drop)?)
    }

    pub(crate) async fn open(&self, name: &Ident) -> Result<DatabaseConnection, ServerError> {
        self.connect(name, false).await
    }

    async fn connect(&self, name: &Ident, create: bool) -> Result<DatabaseConnection, ServerError> {
        let path = self.folder.join(format!("{}.db", name.as_str()));
        let mut options = ConnectOptions::new("sqlite:");
        options.map_sqlx_sqlite_opts(move |options| sqlite_options(options, &path, create));
        connect_one(options).await
    }
}

/// How every SQLite file of ours is opened.
pub(crate) fn sqlite_options(
    options: sqlx::sqlite::SqliteConnectOptions,
    path: &std::path::Path,
    create: bool,
) -> sqlx::sqlite::SqliteConnectOptions {
    options
        .filename(path)
        .create_if_missing(create)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
        .foreign_keys(true)
        .busy_timeout(std::time::Duration::from_secs(5))
}

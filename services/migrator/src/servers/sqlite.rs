mod inventory;
mod scratch;

use std::path::PathBuf;

use sea_orm::{ConnectOptions, DatabaseConnection};
use tenantry_migration::{MigrationSet, Run, migrate};
use tokio::sync::Mutex;

use self::scratch::InUse;
pub(crate) use self::scratch::SqliteScratch;
use super::adoption::{Adoption, note_baseline, survey};
use super::{NewTenant, ServerError, connect_one};
use crate::ident::Ident;

/// The files of one database.
const SUFFIXES: [&str; 3] = [".db-shm", ".db-wal", ".db"];

/// A folder of SQLite files: the standalone instance's.
pub(crate) struct SqliteServer {
    folder: PathBuf,
    scratches: InUse,
    /// Held while a file is made or removed. Within the process is enough: the
    /// folder is one instance's alone.
    lock: Mutex<()>,
}

impl SqliteServer {
    /// From `sqlite:/folder`.
    pub(crate) fn new(url: &str) -> Self {
        let folder = url.trim_start_matches("sqlite:");
        let folder = if folder.starts_with("//") { folder.trim_start_matches("//") } else { folder };
        Self { folder: folder.into(), scratches: InUse::default(), lock: Mutex::default() }
    }

    pub(crate) async fn create(
        &self,
        new: &NewTenant,
        set: &MigrationSet,
        run: &Run,
        still_wanted: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let _held = self.lock.lock().await;
        still_wanted.await?;
        tokio::fs::create_dir_all(&self.folder).await.map_err(ServerError::File)?;
        let db = self.connect(&new.name, true).await?;
        let migrated = migrate(&db, set, None, run).await;
        db.close().await?;
        Ok(migrated.map(drop)?)
    }

    /// Whether it could be adopted. Only reads.
    pub(crate) async fn check_adoption(&self, name: &Ident, adoption: Adoption<'_>) -> Result<(), ServerError> {
        let db = self.open_to_adopt(name).await?;
        let surveyed = survey(&db, adoption).await;
        db.close().await?;
        surveyed
    }

    /// A file that somebody has put into the folder becomes a tenant's.
    ///
    /// `still_wanted` is asked under the lock that dropping takes too.
    pub(crate) async fn adopt(
        &self,
        tenant: &NewTenant,
        adoption: Adoption<'_>,
        still_wanted: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let _held = self.lock.lock().await;
        still_wanted.await?;
        let db = self.open_to_adopt(&tenant.name).await?;
        let done = async {
            survey(&db, adoption).await?;
            note_baseline(&db, adoption).await?;
            Ok(migrate(&db, adoption.set, None, adoption.run).await.map(drop)?)
        };
        let done = done.await;
        db.close().await?;
        done
    }

    async fn open_to_adopt(&self, name: &Ident) -> Result<DatabaseConnection, ServerError> {
        match self.open(name).await {
            Err(ServerError::Missing(_)) => {
                Err(ServerError::NotAdoptable(format!("the folder has no file {}.db", name.as_str())))
            }
            opened => opened,
        }
    }

    pub(crate) async fn drop_database(
        &self,
        name: &Ident,
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let _held = self.lock.lock().await;
        confirmed.await?;
        self.remove(name).await
    }

    async fn remove(&self, name: &Ident) -> Result<(), ServerError> {
        // The database last: as long as it is there, there is something to come back for.
        for suffix in SUFFIXES {
            match tokio::fs::remove_file(self.folder.join(format!("{}{suffix}", name.as_str()))).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(ServerError::File(error)),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
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

/// In memory.
pub(crate) async fn rehearse(set: &MigrationSet, run: &Run) -> Result<(), ServerError> {
    let db = connect_one(ConnectOptions::new("sqlite::memory:")).await?;
    let migrated = migrate(&db, set, None, run).await;
    db.close().await?;
    Ok(migrated.map(drop)?)
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

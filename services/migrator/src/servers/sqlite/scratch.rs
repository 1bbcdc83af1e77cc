use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenantry_migration::{Run, migrate};

use super::super::scratch::note_leftovers;
use super::{NewTenant, SUFFIXES, ServerError, SqliteServer};
use crate::ident::Ident;
use crate::servers::Goal;

/// The scratch databases that are in use. The folder is one process's, so what is not here was left behind.
#[derive(Clone, Default)]
pub(super) struct InUse(Arc<Mutex<BTreeSet<String>>>);

impl InUse {
    pub(super) fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A scratch database's name, held as long as this lives.
pub(crate) struct SqliteScratch<'s> {
    server: &'s SqliteServer,
    name: Ident,
}

impl Drop for SqliteScratch<'_> {
    fn drop(&mut self) {
        self.server.scratches.names().remove(self.name.as_str());
    }
}

impl SqliteServer {
    pub(crate) async fn hold_scratch(&self, name: &Ident, family: &Ident) -> Result<SqliteScratch<'_>, ServerError> {
        note_leftovers(self.sweep(family).await);
        self.scratches.names().insert(name.as_str().to_owned());
        Ok(SqliteScratch { server: self, name: name.clone() })
    }

    async fn sweep(&self, family: &Ident) -> Result<(), ServerError> {
        let mut files = tokio::fs::read_dir(&self.folder).await.map_err(ServerError::File)?;
        while let Some(file) = files.next_entry().await.map_err(ServerError::File)? {
            let file = file.file_name();
            let name = file.to_str().and_then(|file| SUFFIXES.iter().find_map(|suffix| file.strip_suffix(suffix)));
            let Some(name) = name.filter(|name| name.starts_with(family.as_str())) else { continue };
            if !self.scratches.names().contains(name) {
                self.remove(&Ident::new(name)?).await?;
            }
        }
        Ok(())
    }
}

impl SqliteScratch<'_> {
    pub(crate) async fn make(&mut self, new: &NewTenant, goal: Goal<'_>, run: &Run) -> Result<(), ServerError> {
        let db = self.server.connect(&new.name, true).await?;
        let migrated = migrate(&db, goal.set, goal.version, run).await;
        db.close().await?;
        Ok(migrated.map(drop)?)
    }

    pub(crate) async fn drop_database(self, name: &Ident) -> Result<(), ServerError> {
        self.server.remove(name).await
    }
}

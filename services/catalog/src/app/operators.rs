//! The first operator.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use tenantry_ids::{IdSource, OperatorId};

use crate::secrets::{Credential, RandomError};
use crate::store::{CentralDb, StoreError, people};

/// A first operator that was not made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The central database is not migrated.
    #[error("the central database is older than this catalog needs: run \"migrator migrate-central\" first")]
    SchemaTooOld,
    /// There is one.
    #[error("there is an operator already; the first one is made once")]
    Exists,
    /// The central database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No credential.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The file for the credential.
    #[error("cannot write {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Makes the first operator and writes the credential into a new file that only
/// its owner reads.
pub(crate) async fn bootstrap_to_file(
    db: &CentralDb,
    ids: &dyn IdSource,
    name: &str,
    path: &Path,
    now: DateTime<Utc>,
) -> Result<(), BootstrapError> {
    if people::operators_exist(db).await? {
        return Err(BootstrapError::Exists);
    }
    // The file first: a credential that cannot be handed over must not exist. One
    // that a crash left behind, before there was an operator, is nobody's.
    let draft = path.with_extension("new");
    if draft.exists() {
        let _ = std::fs::remove_file(path);
    }
    let credential = Credential::new("tnop")?;
    let written = write_new(&draft, path, credential.expose());
    written.map_err(|source| BootstrapError::File { path: path.to_owned(), source })?;
    let inserted = people::insert_operator(db, OperatorId::new(ids), name, credential.hash(), now).await;
    if inserted.is_err() {
        let _ = std::fs::remove_file(path);
    }
    let _ = std::fs::remove_file(&draft);
    Ok(inserted?)
}

/// Writes a file that only its owner reads, by way of a draft; never over another.
fn write_new(draft: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(draft)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::hard_link(draft, path).inspect_err(|_| drop(std::fs::remove_file(draft)))
}

/// Makes the first operator; the credential is shown by the caller, once.
pub(crate) async fn bootstrap(
    db: &CentralDb,
    ids: &dyn IdSource,
    name: &str,
    now: DateTime<Utc>,
) -> Result<Credential, BootstrapError> {
    if people::operators_exist(db).await? {
        return Err(BootstrapError::Exists);
    }
    let credential = Credential::new("tnop")?;
    people::insert_operator(db, OperatorId::new(ids), name, credential.hash(), now).await?;
    Ok(credential)
}

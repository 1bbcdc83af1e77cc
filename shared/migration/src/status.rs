use sea_orm::ConnectionTrait;

use crate::{
    error::MigrationError,
    ledger::{self, Entry},
    progress::{self, Partial},
    set::MigrationSet,
};

/// A database beside a set. Versions are in order everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub set: &'static str,
    /// What the ledger says, the mismatched and unknown included.
    pub applied: Vec<Entry>,
    /// In the set, not in the ledger.
    pub pending: Vec<String>,
    /// Applied here with other statements than the set has now.
    pub mismatched: Vec<String>,
    /// In the ledger, not in the set: the ledger is from the future.
    pub unknown: Vec<String>,
    /// A migration that was cut short where each statement commits by itself.
    pub partial: Option<Partial>,
}

impl Status {
    /// The newest applied version.
    pub fn version(&self) -> Option<&str> {
        self.applied.last().map(|entry| entry.version.as_str())
    }

    pub fn is_current(&self) -> bool {
        self.pending.is_empty() && self.mismatched.is_empty() && self.unknown.is_empty() && self.partial.is_none()
    }

    /// # Errors
    /// [`MigrationError::UnknownVersion`] or [`MigrationError::ChecksumMismatch`] for the first such version.
    pub fn refuse_conflicts(&self) -> Result<(), MigrationError> {
        if let Some(version) = self.unknown.first() {
            return Err(MigrationError::UnknownVersion { set: self.set, version: version.clone() });
        }
        if let Some(version) = self.mismatched.first() {
            return Err(MigrationError::ChecksumMismatch { set: self.set, version: version.clone() });
        }
        Ok(())
    }

    pub(crate) fn of(
        set: &MigrationSet,
        backend: sea_orm::DbBackend,
        applied: Vec<Entry>,
    ) -> Result<Self, MigrationError> {
        let recordings = set.recordings(backend)?;
        let mut seen = vec![false; recordings.len()];
        let (mut mismatched, mut unknown) = (Vec::new(), Vec::new());
        for entry in &applied {
            match set.position(&entry.version) {
                None => unknown.push(entry.version.clone()),
                Some(at) => {
                    seen[at] = true;
                    if recordings[at].checksum != entry.checksum {
                        mismatched.push(entry.version.clone());
                    }
                }
            }
        }
        let pending = set.versions().zip(seen).filter(|(_, seen)| !seen).map(|(v, _)| v.to_owned()).collect();
        Ok(Self { set: set.name(), applied, pending, mismatched, unknown, partial: None })
    }
}

/// Reads the ledger, changes nothing, takes no lock. Without a ledger everything is pending.
///
/// On PostgreSQL give it a connection, not an open transaction: a missing ledger would abort that.
///
/// # Errors
/// [`MigrationError::Database`], [`MigrationError::Recording`].
pub async fn status<C: ConnectionTrait>(conn: &C, set: &MigrationSet) -> Result<Status, MigrationError> {
    let entries = ledger::read(conn, set).await?.unwrap_or_default();
    let partial = progress::read(conn, set).await?;
    Ok(Status { partial, ..Status::of(set, conn.get_database_backend(), entries)? })
}

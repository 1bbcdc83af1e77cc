use sea_orm::DatabaseConnection;
use uuid::Uuid;

use crate::{
    apply::{Applied, Run, reach},
    error::MigrationError,
    set::MigrationSet,
    status::Status,
    step::Goal,
};

/// How far back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollback<'a> {
    /// The newest so many.
    Steps(usize),
    /// Everything newer than this version, which stays.
    To(&'a str),
    /// What the most recent run applied.
    LastRun,
    /// Exactly what that run applied.
    Run(Uuid),
    All,
}

impl Rollback<'_> {
    /// The versions that go. One irreversible among them and none does.
    pub(crate) fn choose(&self, set: &MigrationSet, status: &Status) -> Result<Vec<String>, MigrationError> {
        let applied = &status.applied;
        let of_run = |run: Option<Uuid>| applied.iter().filter(move |entry| Some(entry.run) == run).collect();
        let chosen: Vec<_> = match self {
            Self::Steps(steps) => applied.iter().rev().take(*steps).collect(),
            Self::To(version) => applied.iter().filter(|entry| entry.version.as_str() > *version).collect(),
            Self::LastRun => of_run(applied.iter().max_by_key(|e| (e.applied_at, &e.version)).map(|e| e.run)),
            Self::Run(run) => of_run(Some(*run)),
            Self::All => applied.iter().collect(),
        };
        for entry in &chosen {
            let migration = set.position(&entry.version).map(|at| &set.migrations()[at]);
            if let Some(reason) = migration.and_then(|m| m.irreversible_reason()) {
                return Err(MigrationError::Irreversible { version: entry.version.clone(), reason });
            }
        }
        Ok(chosen.into_iter().map(|entry| entry.version.clone()).collect())
    }
}

/// Takes migrations back, newest first, by their recorded `down`; same lock and same transactions as
/// [`migrate`](crate::migrate).
///
/// # Errors
/// [`MigrationError::Irreversible`] before anything is touched, and those of `migrate`.
pub async fn rollback(
    db: &DatabaseConnection,
    set: &MigrationSet,
    to: Rollback<'_>,
    run: &Run,
) -> Result<Applied, MigrationError> {
    if let Rollback::To(version) = to {
        set.must_contain(Some(version))?;
    }
    reach(db, set, Goal::Down { to, chosen: None }, run).await
}

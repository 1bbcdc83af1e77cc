//! What the engines share when a database that somebody else has made becomes a tenant's.

use sea_orm::DatabaseConnection;
use tenantry_migration::{MigrationSet, Run, baseline, baseline_versions, ledger_sets, status};

use super::ServerError;

/// How to adopt.
#[derive(Clone, Copy)]
pub(crate) struct Adoption<'a> {
    /// What the database gets in the end.
    pub(crate) set: &'a MigrationSet,
    /// Every migration, also those that new databases do not get yet.
    pub(crate) known: &'a MigrationSet,
    /// The version that it is at already; absent where its own records say so.
    pub(crate) baseline: Option<&'a str>,
    pub(crate) run: &'a Run,
}

/// Refuses a database that is somebody else's, and one of which nothing says what it has seen. Only reads.
pub(crate) async fn survey(db: &DatabaseConnection, adoption: Adoption<'_>) -> Result<(), ServerError> {
    let sets = ledger_sets(db).await?;
    if let Some(other) = sets.iter().find(|set| *set != adoption.known.name() && !is_plugin(set)) {
        return Err(ServerError::NotAdoptable(format!("it is the {other} database of an installation")));
    }
    status(db, adoption.known).await?.refuse_conflicts()?;
    Ok(baseline_versions(db, adoption.known, adoption.baseline).await.map(drop)?)
}

/// The sets that tenants' databases have beside the one that all of them have.
fn is_plugin(set: &str) -> bool {
    set.starts_with("plugin_")
}

/// Notes what it has seen.
pub(crate) async fn note_baseline(db: &DatabaseConnection, adoption: Adoption<'_>) -> Result<(), ServerError> {
    let noted = baseline(db, adoption.known, adoption.baseline, adoption.run).await?;
    if !noted.is_empty() {
        tracing::info!(migrations = noted.len(), "an adopted database's ledger was written");
    }
    Ok(())
}

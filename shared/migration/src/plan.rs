use sea_orm::{ConnectionTrait, DbBackend};

use crate::{
    error::MigrationError,
    set::{Kind, MigrationSet},
    status::{Status, status},
};

/// What [`migrate`](crate::migrate) would do, without a database being touched.
#[derive(Clone, Debug)]
pub struct Plan {
    pub set: &'static str,
    pub steps: Vec<PlannedStep>,
}

#[derive(Clone, Debug)]
pub struct PlannedStep {
    pub version: String,
    pub checksum: String,
    pub kind: Kind,
    /// Shared between central and tenants.
    pub both: bool,
    /// Whether it runs inside a transaction on PostgreSQL.
    pub transactional: bool,
    /// Why it could not be rolled back afterwards.
    pub irreversible: Option<&'static str>,
    /// Empty for code: it decides when it runs.
    pub statements: Vec<String>,
}

impl Plan {
    /// For a reader: every statement under its version.
    pub fn to_sql(&self) -> String {
        let mut sql = String::new();
        for step in &self.steps {
            sql.push_str(&format!("-- {}\n", step.version));
            if step.kind == Kind::Code {
                sql.push_str("-- code: its statements depend on what it reads\n");
            }
            for statement in &step.statements {
                sql.push_str(statement);
                sql.push_str(";\n");
            }
        }
        sql
    }
}

impl MigrationSet {
    /// The pending versions up to and including `target`, with their statements.
    ///
    /// # Errors
    /// What [`migrate`](crate::migrate) would refuse.
    pub fn plan(&self, backend: DbBackend, status: &Status, target: Option<&str>) -> Result<Plan, MigrationError> {
        status.refuse_conflicts()?;
        let recordings = self.recordings(backend)?;
        let steps = self.pending(status, target)?.into_iter().map(|at| {
            let (migration, recording) = (&self.migrations()[at], &recordings[at]);
            PlannedStep {
                version: migration.version().to_owned(),
                checksum: recording.checksum.clone(),
                kind: migration.kind(),
                both: migration.is_both(),
                transactional: migration.is_transactional(),
                irreversible: migration.irreversible_reason(),
                statements: recording.up.clone(),
            }
        });
        Ok(Plan { set: self.name(), steps: steps.collect() })
    }

    /// Positions of the pending versions up to and including `target`.
    pub(crate) fn pending(&self, status: &Status, target: Option<&str>) -> Result<Vec<usize>, MigrationError> {
        self.must_contain(target)?;
        let wanted = status.pending.iter().filter(|version| target.is_none_or(|target| version.as_str() <= target));
        Ok(wanted.filter_map(|version| self.position(version)).collect())
    }

    pub(crate) fn must_contain(&self, version: Option<&str>) -> Result<(), MigrationError> {
        match version {
            Some(version) if !self.contains(version) => {
                Err(MigrationError::NoSuchVersion { set: self.name(), version: version.to_owned() })
            }
            _ => Ok(()),
        }
    }
}

/// [`MigrationSet::plan`] against the database's ledger.
///
/// # Errors
/// What [`migrate`](crate::migrate) would refuse, and [`MigrationError::Database`].
pub async fn plan<C: ConnectionTrait>(
    conn: &C,
    set: &MigrationSet,
    target: Option<&str>,
) -> Result<Plan, MigrationError> {
    let status = status(conn, set).await?;
    set.plan(conn.get_database_backend(), &status, target)
}

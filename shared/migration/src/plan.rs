use sea_orm::{ConnectionTrait, DbBackend};

use crate::{
    error::{Direction, MigrationError},
    rollback::Rollback,
    set::{Kind, MigrationSet},
    status::{Status, status},
    step::Goal,
};

/// What [`migrate`](crate::migrate) or [`rollback`](crate::rollback) would do, without a database being touched.
#[derive(Clone, Debug)]
pub struct Plan {
    pub set: &'static str,
    pub steps: Vec<PlannedStep>,
}

#[derive(Clone, Debug)]
pub struct PlannedStep {
    pub version: String,
    pub direction: Direction,
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
            sql.push_str(&format!("-- {} {}\n", step.direction, step.version));
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
        self.planned(backend, status, Goal::Up { target })
    }

    /// What would be taken back, newest first.
    ///
    /// # Errors
    /// What [`rollback`](crate::rollback) would refuse.
    pub fn plan_back(&self, backend: DbBackend, status: &Status, to: Rollback<'_>) -> Result<Plan, MigrationError> {
        self.planned(backend, status, Goal::Down { to, chosen: None })
    }

    fn planned(&self, backend: DbBackend, status: &Status, mut goal: Goal<'_>) -> Result<Plan, MigrationError> {
        let steps = goal.remaining(self, backend, status)?.into_iter().map(|step| PlannedStep {
            version: step.version().to_owned(),
            direction: step.direction,
            checksum: step.checksum.to_owned(),
            kind: step.migration.kind(),
            both: step.migration.is_both(),
            transactional: step.migration.is_transactional(),
            irreversible: step.migration.irreversible_reason(),
            statements: step.statements.to_vec(),
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

/// [`MigrationSet::plan_back`] against the database's ledger.
///
/// # Errors
/// What [`rollback`](crate::rollback) would refuse, and [`MigrationError::Database`].
pub async fn plan_back<C: ConnectionTrait>(
    conn: &C,
    set: &MigrationSet,
    to: Rollback<'_>,
) -> Result<Plan, MigrationError> {
    if let Rollback::To(version) = to {
        set.must_contain(Some(version))?;
    }
    let status = status(conn, set).await?;
    set.plan_back(conn.get_database_backend(), &status, to)
}

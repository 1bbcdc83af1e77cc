//! Whether a tenant's database is still what its migrations make.
//!
//! It is compared with a scratch database that is made for the purpose, at the version that its own ledger records:
//! what a migration makes is known for sure by running it.

mod checks;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::DatabaseConnection;
use tenantry_ids::{CompanyId, RunId};
use tenantry_migration::{
    CatalogueObject, CatalogueOptions, DATABASE, Difference, Finding, MigrationError, MigrationSet, ObjectKind, Run,
    catalogue, compare, is_being_migrated, migrate, status,
};
use tenantry_rpc::{Context, Error, Reason};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(crate) use self::checks::DriftChecks;
use super::{App, credentials, databases};
use crate::ident::Ident;
use crate::servers::{DatabaseServer, Goal, ServerError};
use crate::store::claims::{Claim, ClaimState};
use crate::store::drift::{self, NewCheck};

/// A scratch database that takes longer to make and to read is given up.
const SCRATCH_LIMIT: Duration = Duration::from_secs(120);
/// Dropping it is tried for so long; after that it is a leftover.
const DROP_LIMIT: Duration = Duration::from_secs(30);
/// Findings whose names are kept.
const KEPT_FINDINGS: usize = 100;
/// How long a caller waits who came while the database was changed.
const SOON: Duration = Duration::from_secs(2);

/// What a check has found.
pub(crate) struct Report {
    pub(crate) claim: Claim,
    pub(crate) set: &'static str,
    /// Absent where neither the ledger nor the migrator knows one.
    pub(crate) version: Option<String>,
    pub(crate) checked_at: DateTime<Utc>,
    pub(crate) findings: Vec<Finding>,
}

/// Checks a company's database now.
pub(crate) async fn check(app: &Arc<App>, context: &Context, company: CompanyId) -> Result<Report, Error> {
    let claim = databases::find(app, company).await?;
    match claim.state {
        ClaimState::Ready => {}
        ClaimState::Creating | ClaimState::Dropping => return Err(ServerError::Busy.into()),
        ClaimState::Dropped => return Err(Error::new(Reason::DatabaseNotFound, "the company's database was dropped")),
    }
    let run = app.run(context);
    let app = app.clone();
    // A task of its own: when the caller goes away, the scratch database has still to be dropped.
    app.clone().drift.run(context, async move |gone| Check { app, claim, run, gone }.run().await).await
}

/// One check under way.
struct Check {
    app: Arc<App>,
    claim: Claim,
    run: Run,
    /// Nobody waits for the outcome any more.
    gone: CancellationToken,
}

/// A tenant's database, as it was found.
struct Found {
    version: Option<String>,
    /// The plugins that have tables there, and the versions of those.
    plugins: Vec<(MigrationSet, String)>,
    objects: Vec<CatalogueObject>,
}

impl Check {
    async fn run(self) -> Result<Report, Error> {
        let server = databases::server(&self.app, &self.claim)?;
        let found = self.unless_gone(self.read_tenant(server)).await?;
        let (version, findings) = match found {
            Some(Found { version, plugins, objects }) => {
                let version = version.or_else(|| self.claim.schema_version.clone());
                let expected = self.expected(server, version.as_deref(), &plugins).await?;
                (version, compare(&expected, &objects))
            }
            None => (self.claim.schema_version.clone(), vec![no_database(&self.claim)]),
        };
        let report = Report {
            set: self.app.tenant_set.name(),
            version,
            checked_at: self.app.clock.now(),
            findings,
            claim: self.claim,
        };
        drift::note(&self.app.db, to_keep(&report)).await?;
        Ok(report)
    }

    /// The tenant's database; `None` where the server has none of that name. Only read.
    async fn read_tenant(&self, server: &DatabaseServer) -> Result<Option<Found>, Error> {
        let db = match server.open(&Ident::new(&self.claim.name)?).await {
            Ok(db) => db,
            Err(ServerError::Missing(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let found = self.read_between_migrations(db.raw()).await;
        db.close().await?;
        found.map(Some)
    }

    /// What is seen while somebody migrates is neither the one version nor the other.
    async fn read_between_migrations(&self, db: &DatabaseConnection) -> Result<Found, Error> {
        let before = status(db, &self.app.tenant_set).await.map_err(ServerError::from)?;
        before.refuse_conflicts().map_err(ServerError::from)?;
        let logins = credentials::logins_if_any(&self.app, &self.claim)?;
        let names = logins.as_ref().map(|logins| {
            let in_use = self.claim.slot();
            (logins.at(in_use).as_str(), logins.at(in_use.other()).as_str())
        });
        let objects = read(db, names.map(|names| names.0), names.map(|names| names.1)).await?;
        let after = status(db, &self.app.tenant_set).await.map_err(ServerError::from)?;
        // A migration that is still under way has the lock, and one that came and went has its row.
        let halfway = is_being_migrated(db).await.map_err(ServerError::from)?;
        if halfway || after.applied != before.applied {
            return Err(ServerError::Busy.into());
        }
        let plugins = self.plugins(db).await?;
        Ok(Found { version: before.version().map(str::to_owned), plugins, objects })
    }

    /// By the database's own ledger.
    async fn plugins(&self, db: &DatabaseConnection) -> Result<Vec<(MigrationSet, String)>, Error> {
        let mut found = Vec::new();
        for (_, set) in self.app.plugins.iter() {
            let status = status(db, set).await.map_err(ServerError::from)?;
            if let Some(version) = status.version() {
                status.refuse_conflicts().map_err(ServerError::from)?;
                found.push((set.clone(), version.to_owned()));
            }
        }
        Ok(found)
    }

    /// What the database should be: made, read, and dropped whatever came of it.
    async fn expected(
        &self,
        server: &DatabaseServer,
        version: Option<&str>,
        plugins: &[(MigrationSet, String)],
    ) -> Result<Vec<CatalogueObject>, Error> {
        let (name, family) = (self.app.prefix.scratch(RunId(self.run.id))?, self.app.prefix.scratches()?);
        let mut scratch = server.hold_scratch(name, &family).await?;
        let role = server.has_roles().then(|| scratch.name().as_str().to_owned());
        let made = timeout(SCRATCH_LIMIT, async {
            let goal = Goal { set: &self.app.tenant_set, version };
            // Never cut short in the middle: a statement that goes on in the server would outlive the dropping.
            scratch.make(goal, &self.run).await?;
            let db = scratch.open().await?;
            for (set, version) in plugins {
                migrate(db.raw(), set, Some(version), &self.run).await.map_err(ServerError::from)?;
            }
            if !plugins.is_empty() {
                server.settle(scratch.name(), &[scratch.name()]).await?;
            }
            self.unless_gone(async {
                let objects = read(db.raw(), role.as_deref(), None).await;
                db.close().await?;
                Ok(objects?)
            })
            .await
        });
        let made = made.await.unwrap_or_else(|elapsed| Err(ServerError::Unavailable(elapsed.into()).into()));
        match timeout(DROP_LIMIT, scratch.drop_database()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => left_behind(&error),
            Err(elapsed) => left_behind(&elapsed),
        }
        made
    }

    async fn unless_gone<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            done = work => done,
            () = self.gone.cancelled() => {
                Err(Error::new(Reason::ShuttingDown, "the check was given up; try again").retry_after(SOON))
            }
        }
    }
}

/// With the role in use, and the one that takes turns with it.
async fn read(
    db: &DatabaseConnection,
    role: Option<&str>,
    other: Option<&str>,
) -> Result<Vec<CatalogueObject>, ServerError> {
    catalogue(db, CatalogueOptions { tenant_role: role, other_role: other })
        .await
        .map_err(|error: MigrationError| error.into())
}

fn left_behind(error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(error, "a scratch database was not dropped; the next check will try again");
}

fn no_database(claim: &Claim) -> Finding {
    let difference = Difference::Missing { expected: claim.name.clone() };
    Finding { kind: ObjectKind::Database, name: DATABASE.to_owned(), difference }
}

/// Names without definitions: enough to see who drifted, and where.
fn to_keep(report: &Report) -> NewCheck<'_> {
    let named = |finding: &Finding| {
        let change = match finding.difference {
            Difference::Missing { .. } => "missing",
            Difference::Unexpected { .. } => "unexpected",
            Difference::Changed { .. } => "changed",
        };
        serde_json::json!({ "change": change, "kind": finding.kind.as_str(), "name": finding.name })
    };
    NewCheck {
        database: report.claim.database_id,
        checked_at: report.checked_at,
        schema_version: report.version.as_deref(),
        finding_count: i32::try_from(report.findings.len()).unwrap_or(i32::MAX),
        findings: report.findings.iter().take(KEPT_FINDINGS).map(named).collect(),
    }
}

//! Tells the catalog which version each database is at, until it has heard.

use std::sync::Arc;
use std::time::Duration;

use tenantry_api::catalog::v1::{ReportSchemaVersionsRequest, SchemaVersionReport};
use tenantry_rpc::{Error, Shutdown, client};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{App, fleet};
use crate::store::claims::{self, Claim};

/// Databases in one report: what the catalog takes.
const BATCH: u64 = 1_000;
/// How long one answer of the catalog may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// What other replicas changed, and what the catalog could not be told, is looked for so often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long changes are gathered into one report.
const GATHER: Duration = Duration::from_millis(100);
/// What the catalog is told of a database without any migration: older than every version.
const EMPTY: &str = "m00000000_000000_empty";

/// Wakes the reporter of this process.
#[derive(Clone, Default)]
pub(crate) struct Reporter(Arc<Notify>);

impl Reporter {
    /// A version has changed.
    pub(crate) fn wake(&self) {
        self.0.notify_one();
    }
}

/// Reports until the shutdown begins. A report that gets lost is made again: the rows say what the catalog has heard.
pub(crate) async fn run(app: Arc<App>, shutdown: Shutdown) {
    while !shutdown.has_begun() {
        tokio::select! {
            () = app.reporter.0.notified() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shutdown.begun() => {}
        }
        while match report(&app).await {
            Ok(reported) => reported == BATCH as usize,
            Err(error) => {
                tracing::debug!(%error, "the catalog was not told of versions; trying again");
                false
            }
        } {}
    }
}

/// One batch; how many there were.
async fn report(app: &App) -> Result<usize, Error> {
    let changed = claims::unreported(app.db.raw(), BATCH).await?;
    if changed.is_empty() {
        return Ok(0);
    }
    let request = ReportSchemaVersionsRequest { reports: changed.iter().map(message).collect() };
    let request = client::request(request, Instant::now() + ANSWER_TIMEOUT);
    app.catalog.clone().report_schema_versions(request).await.map_err(fleet::unavailable)?;
    claims::note_reported(app.db.raw(), &changed).await?;
    Ok(changed.len())
}

fn message(claim: &Claim) -> SchemaVersionReport {
    let version = claim.schema_version.as_deref().filter(|version| !version.is_empty());
    SchemaVersionReport {
        company_id: claim.company_id.to_string(),
        database_id: claim.database_id.to_string(),
        schema_version: version.unwrap_or(EMPTY).to_owned(),
        sequence: claim.version_sequence,
    }
}

//! Tells the catalog which version each database is at, until it has heard.

use std::sync::Arc;
use std::time::Duration;

use tenantry_api::catalog::v1::{PluginReport, ReportPluginsRequest, ReportSchemaVersionsRequest, SchemaVersionReport};
use tenantry_migration::MigrationSet;
use tenantry_rpc::{Error, Shutdown, client};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{App, fleet};
use crate::store::claims::{self, Claim};
use crate::store::plugins::{self, DatabasePlugin};

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
    let mut announced = false;
    while !shutdown.has_begun() {
        if !announced {
            announced = match announce(&app).await {
                Ok(()) => true,
                Err(error) => {
                    tracing::debug!(%error, "the catalog was not told of plugins; trying again");
                    false
                }
            };
        }
        while match report(&app).await {
            Ok(reported) => reported == BATCH as usize,
            Err(error) => {
                tracing::debug!(%error, "the catalog was not told of versions; trying again");
                false
            }
        } {}
        tokio::select! {
            () = app.reporter.0.notified() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shutdown.begun() => {}
        }
    }
}

/// The plugins that companies can install, once per process: a release is what changes them.
async fn announce(app: &App) -> Result<(), Error> {
    let plugin = |(name, set): (&str, &MigrationSet)| PluginReport {
        name: name.to_owned(),
        description: set.about().to_owned(),
        version: set.head().unwrap_or_default().to_owned(),
        default_settings: set.default_settings().to_owned(),
    };
    let request = ReportPluginsRequest { plugins: app.plugins.iter().map(plugin).collect() };
    let request = client::request(request, Instant::now() + ANSWER_TIMEOUT);
    app.catalog.clone().report_plugins(request).await.map_err(fleet::unavailable)?;
    Ok(())
}

/// One batch of each kind; how many there were in the larger one.
async fn report(app: &App) -> Result<usize, Error> {
    let (tenants, plugins) = (report_tenants(app).await?, report_plugins(app).await?);
    Ok(tenants.max(plugins))
}

async fn report_tenants(app: &App) -> Result<usize, Error> {
    let changed = claims::unreported(app.db.raw(), BATCH).await?;
    if !changed.is_empty() {
        tell(app, changed.iter().map(message).collect()).await?;
        claims::note_reported(app.db.raw(), &changed).await?;
    }
    Ok(changed.len())
}

async fn report_plugins(app: &App) -> Result<usize, Error> {
    let changed = plugins::unreported(app.db.raw(), BATCH).await?;
    if changed.is_empty() {
        return Ok(0);
    }
    let claims = claims::of_databases(app.db.raw(), changed.iter().map(|row| row.database_id)).await?;
    // The database of one that is missing was dropped meanwhile.
    let reports = changed.iter().filter_map(|row| Some(plugin_message(claims.get(&row.database_id)?, row)));
    tell(app, reports.collect()).await?;
    plugins::note_reported(app.db.raw(), &changed).await?;
    Ok(changed.len())
}

async fn tell(app: &App, reports: Vec<SchemaVersionReport>) -> Result<(), Error> {
    if reports.is_empty() {
        return Ok(());
    }
    let request = client::request(ReportSchemaVersionsRequest { reports }, Instant::now() + ANSWER_TIMEOUT);
    app.catalog.clone().report_schema_versions(request).await.map_err(fleet::unavailable)?;
    Ok(())
}

fn message(claim: &Claim) -> SchemaVersionReport {
    let version = claim.schema_version.as_deref().filter(|version| !version.is_empty());
    SchemaVersionReport {
        company_id: claim.company_id.to_string(),
        database_id: claim.database_id.to_string(),
        schema_version: version.unwrap_or(EMPTY).to_owned(),
        sequence: claim.version_sequence,
        plugin: String::new(),
    }
}

fn plugin_message(claim: &Claim, row: &DatabasePlugin) -> SchemaVersionReport {
    let version = Some(row.schema_version.as_str()).filter(|version| !version.is_empty());
    SchemaVersionReport {
        company_id: claim.company_id.to_string(),
        database_id: claim.database_id.to_string(),
        schema_version: version.unwrap_or(EMPTY).to_owned(),
        sequence: row.version_sequence,
        plugin: row.plugin.clone(),
    }
}

//! The fleet, for the migrator: who there is, and which version each database is at.

use chrono::{DateTime, Utc};
use serde_json::json;
use tenantry_ids::{CompanyId, EventId};
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Context, Error};

use super::App;
use super::attempt::{Attempt, repeat};
use crate::store::entities::company::State;
use crate::store::entities::{company, company_database};
pub(crate) use crate::store::fleet::Report;
use crate::store::{CentralTx, StoreError, changes, companies, events, fleet, plugins, provisioning};

/// The name of the list of tenants in page tokens.
pub(crate) const LIST: &str = "tenants";

/// A tenant.
pub(crate) struct Tenant {
    pub(crate) company: company::Model,
    pub(crate) database: Option<company_database::Model>,
    /// While there are steps to take: until when somebody has them, or when they are due.
    pub(crate) lease_until: Option<DateTime<Utc>>,
}

/// The tenants of a page and one more, if there are more: these, or all that are not purged.
pub(crate) async fn list(app: &App, only: &[CompanyId], page: Page) -> Result<Vec<Tenant>, Error> {
    let rows = fleet::tenants(&app.db, only, page.after, page.size + 1).await?;
    let mut databases = companies::databases_of(&app.db, rows.iter().map(|row| row.id)).await?;
    let working = rows.iter().filter(|row| has_steps(row)).map(|row| row.id);
    let mut leases = provisioning::leases_of(&app.db, working).await?;
    let tenant = |company: company::Model| Tenant {
        database: databases.remove(&company.id),
        lease_until: leases.remove(&company.id),
        company,
    };
    Ok(rows.into_iter().map(tenant).collect())
}

fn has_steps(company: &company::Model) -> bool {
    match company.state {
        State::Provisioning => true,
        State::Deleted | State::Failed => company.purge_begun_at.is_some(),
        State::Active | State::Suspended | State::Maintenance | State::Purged => false,
    }
}

/// Notes the reports that are newer than what is known, all or none; how many there were.
pub(crate) async fn report(app: &App, context: &Context, mut reports: Vec<Report>) -> Result<usize, Error> {
    // In one order, so that two batches at once do not wait for each other in a circle.
    reports.sort_by(|a, b| (a.database, &a.plugin, a.sequence).cmp(&(b.database, &b.plugin, b.sequence)));
    let actor = context.caller().subject();
    repeat(|| attempt(app, &actor, &reports)).await
}

async fn attempt(app: &App, actor: &str, reports: &[Report]) -> Result<usize, Attempt> {
    let now = app.now();
    let tx = app.db.begin().await?;
    let mut known = fleet::versions(&tx, reports.iter().map(|report| report.database)).await?;
    let (mut accepted, mut news, mut told) = (0, Vec::new(), Vec::new());
    for report in reports {
        if let Some(plugin) = &report.plugin {
            if note_plugin(&tx, report, plugin).await? {
                accepted += 1;
                told.push(report.company);
            }
            continue;
        }
        if !fleet::note_version(&tx, report, now).await? {
            continue;
        }
        accepted += 1;
        let before = known.insert(report.database, Some(report.version.clone())).flatten();
        if before.as_ref() != Some(&report.version) {
            news.push(events::NewEvent {
                id: EventId::new(&*app.ids),
                company: Some(report.company),
                kind: "company.schema_changed",
                actor,
                payload: json!({ "database_id": report.database, "from": before, "to": report.version }),
            });
        }
    }
    let changed: Vec<_> = news.iter().filter_map(|event| event.company).chain(told).collect();
    events::append_all(&tx, news, now).await?;
    changes::append(&tx, changed, now).await?;
    tx.commit().await?;
    app.changes.wake();
    Ok(accepted)
}

async fn note_plugin(tx: &CentralTx, report: &Report, plugin: &str) -> Result<bool, StoreError> {
    plugins::note_version(tx, (report.company, report.database), plugin, (&report.version, report.sequence)).await
}

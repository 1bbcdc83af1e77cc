//! Reads the change log, once per process.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::TimeDelta;
use tenantry_ids::CompanyId;
use tenantry_rpc::Shutdown;
use tokio::time::{Duration, Instant};

use super::{News, Revoked, TenantNow};
use crate::app::{App, event_log, log};
use crate::domain::Tail;
use crate::store::entities::tenant_change;
use crate::store::plans::PlanTable;
use crate::store::{StoreError, changes as store, companies, fleet, plugins};

/// Rows that are read at once.
pub(super) const PAGE: usize = 1_000;
/// How often rows that nobody needs any more are removed.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Where a process begins: before what transactions that are under way could still show. Before anybody is served,
/// since nobody is to be told to go on from a place that is not known yet.
pub(crate) async fn begin(app: &App) -> Result<Tail, StoreError> {
    let before = store::last_before(&app.db, app.now() - app.changes.settings.patience()).await?;
    let tail = Tail::at(before.unwrap_or(0));
    app.changes.publish(Vec::new(), tail.position());
    Ok(tail)
}

/// Reads until the shutdown begins. A central database that is away is read when it is back: positions are in it.
pub(crate) async fn follow(app: Arc<App>, mut tail: Tail, shutdown: Shutdown) {
    let (mut warned, mut sweep_at) = (false, Instant::now() + SWEEP_EVERY);
    while !shutdown.has_begun() {
        match look(&app, &mut tail).await {
            Ok(()) => warned = false,
            Err(error) if !warned => {
                tracing::warn!(%error, "the change log cannot be read; trying again");
                warned = true;
            }
            Err(error) => tracing::debug!(%error, "the change log still cannot be read"),
        }
        if Instant::now() >= sweep_at {
            sweep_at = Instant::now() + SWEEP_EVERY;
            if let Err(error) = sweep(&app).await {
                tracing::warn!(%error, "old changes were not removed");
            }
        }
        tokio::select! {
            () = app.changes.woken() => {}
            () = tokio::time::sleep(app.changes.settings.poll()) => {}
            () = shutdown.begun() => {}
        }
    }
}

/// A look at this log and at how far the one of events is, whose watchers read for themselves.
async fn look(app: &App, tail: &mut Tail) -> Result<(), StoreError> {
    read(app, tail).await?;
    event_log::note_head(app).await
}

/// Reads what is new to its end, and tells it. After a failure the tail is where it was, so that the rows are read
/// again.
async fn read(app: &App, tail: &mut Tail) -> Result<(), StoreError> {
    let patience = TimeDelta::from_std(app.changes.settings.patience()).unwrap_or(TimeDelta::MAX);
    loop {
        let (mut next, now) = (tail.clone(), app.now());
        let read = |ranges, limit| store::within(&app.db, ranges, limit);
        let look = log::look(&mut next, PAGE, (now, patience), read, |row| row.sequence).await?;
        let rows: Vec<_> = look.rows.into_iter().map(|(row, _)| row).collect();
        app.changes.publish(news(app, &rows).await?, next.position());
        *tail = next;
        if look.is_last {
            return Ok(());
        }
    }
}

/// What rows tell, in their order. A tenant that several are about is told of once, as it is now: whatever is read
/// here is at least as new as the rows.
pub(super) async fn news(app: &App, rows: &[tenant_change::Model]) -> Result<Vec<News>, StoreError> {
    let changed: HashSet<_> = rows.iter().filter(|row| row.subject.is_none()).map(|row| row.company_id).collect();
    let mut tenants = tenants(app, &changed).await?;
    let told = rows.iter().filter_map(|row| match row.subject {
        Some(_) => Revoked::of(row).map(News::Revoked),
        None => tenants.remove(&row.company_id).map(News::Tenant),
    });
    Ok(told.collect())
}

async fn tenants(app: &App, ids: &HashSet<CompanyId>) -> Result<HashMap<CompanyId, TenantNow>, StoreError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let only: Vec<_> = ids.iter().copied().collect();
    let rows = fleet::tenants(&app.db, &only, None, only.len() as u64).await?;
    let plans = PlanTable::read(&app.db).await?;
    let mut installed = plugins::installed(&app.db, ids).await?;
    let mut databases = companies::databases_of(&app.db, ids.iter().copied()).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let (id, limits) = (row.id, plans.effective(&row));
            let plugins = installed.remove(&id).unwrap_or_default();
            (id, TenantNow::of(row, databases.remove(&id), limits, plugins))
        })
        .collect())
}

/// Removes what is older than anybody can go on from and than any token that it is about. The newest row stays, as
/// the mark of where the log is.
async fn sweep(app: &App) -> Result<(), StoreError> {
    let kept_for = app.changes.settings.kept(app.settings.revocations_kept());
    let Some(last) = store::last_before(&app.db, app.now() - kept_for).await? else { return Ok(()) };
    let Some(kept) = store::kept(&app.db).await? else { return Ok(()) };
    let removed = store::remove_through(&app.db, last.min(kept.end() - 1)).await?;
    tracing::debug!(removed, "old changes were removed");
    Ok(())
}

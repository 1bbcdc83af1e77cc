//! Removes events that are older than they are to be kept.

use std::sync::Arc;

use tenantry_rpc::Shutdown;

use crate::app::App;
use crate::store::{StoreError, events};

/// Removes until the shutdown begins, a bounded number in each transaction. Several replicas may do so at once.
pub(crate) async fn sweep(app: Arc<App>, shutdown: Shutdown) {
    let settings = &app.event_log.settings;
    while !shutdown.has_begun() {
        match remove_old(&app, &shutdown).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "events that were older than they are kept were removed"),
            Err(error) => tracing::warn!(%error, "old events were not removed; trying again later"),
        }
        tokio::select! {
            () = tokio::time::sleep(settings.sweep_every()) => {}
            () = shutdown.begun() => {}
        }
    }
}

/// A batch after the other, until one is not full.
async fn remove_old(app: &App, shutdown: &Shutdown) -> Result<u64, StoreError> {
    let settings = &app.event_log.settings;
    let Some(kept_since) = settings.kept_since(app.now()) else { return Ok(0) };
    let mut removed = 0;
    while !shutdown.has_begun() {
        let tx = app.db.begin().await?;
        let batch = events::remove_before(&tx, kept_since, settings.events_removed_at_once).await?;
        tx.commit().await?;
        removed += batch;
        if batch < settings.events_removed_at_once {
            break;
        }
    }
    Ok(removed)
}

//! Removes what is over and nobody asks for again.

use std::sync::Arc;

use tenantry_rpc::Shutdown;
use tokio::time::Duration;

use super::App;
use crate::store::{StoreError, sessions, throttle};

/// How often.
const EVERY: Duration = Duration::from_secs(60);

/// Sweeps until the shutdown begins.
pub(crate) async fn run(app: Arc<App>, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.begun() => return,
        }
        if let Err(error) = sweep(&app).await {
            tracing::warn!(%error, "what is over was not removed");
        }
    }
}

async fn sweep(app: &App) -> Result<(), StoreError> {
    while !app.stopping.has_begun() && sessions::sweep(&app.db, app.now()).await? > 0 {}
    let (settings, now) = (&app.settings.throttle, app.now());
    let before = (now - settings.kept(), now - settings.familiar());
    while !app.stopping.has_begun() && throttle::sweep(&app.db, before.0, before.1).await? > 0 {}
    Ok(())
}

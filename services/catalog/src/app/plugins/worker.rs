//! Brings every installation and every removal to its end, whoever began it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tenantry_api::migrator::v1::{DropTenantPluginRequest, InstallTenantPluginRequest};
use tenantry_rpc::{Error, Shutdown, client};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::tell;
use crate::app::App;
use crate::app::provisioning::{StepFailure, WorkerSettings};
use crate::store::entities::company_plugin::{Model, State};
use crate::store::{StoreError, plugins};

/// The worker in one process.
pub(crate) struct Installations {
    pub(crate) app: Arc<App>,
    pub(crate) settings: WorkerSettings,
}

impl Installations {
    /// Works until the shutdown begins; what is under way is finished, or dropped when the shutdown is forced and then
    /// taken up by whoever is next.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let worker = Arc::new(self);
        let at_once = Arc::new(Semaphore::new(worker.settings.provision_at_once.max(1)));
        let tasks = TaskTracker::new();
        while !shutdown.has_begun() {
            if let Err(error) = worker.clone().dispatch(&at_once, &tasks).await {
                tracing::warn!(%error, "installations cannot look for work");
            }
            tokio::select! {
                () = worker.app.installations.woken() => {}
                () = tokio::time::sleep(Duration::from_millis(worker.settings.provision_poll_ms)) => {}
                () = shutdown.begun() => {}
            }
        }
        tasks.close();
        tokio::select! {
            () = tasks.wait() => {}
            () = shutdown.forced() => {}
        }
    }

    /// Takes as many due rows as there is room for.
    async fn dispatch(self: Arc<Self>, at_once: &Arc<Semaphore>, tasks: &TaskTracker) -> Result<(), StoreError> {
        let room = at_once.available_permits() as u64;
        let now = self.app.now();
        for seen in plugins::due(&self.app.db, now, room).await? {
            let Ok(permit) = at_once.clone().try_acquire_owned() else { return Ok(()) };
            // Longer than a step may take: another replica comes only when this one is gone.
            let until = now + self.settings.step_timeout() + self.settings.lease();
            let held = Model { attempts: seen.attempts + 1, due_at: Some(until), ..seen.clone() };
            let Some(row) = plugins::save(&self.app.db, &seen, held).await? else { continue };
            let worker = self.clone();
            tasks.spawn(async move {
                if let Err(error) = worker.work(&row).await {
                    tracing::warn!(tenant = %row.company_id, %error, "an installation stopped; it goes on by itself");
                }
                drop(permit);
                worker.app.installations.changed(row.company_id);
                // There may be more than there was room for.
                worker.app.installations.wake();
            });
        }
        Ok(())
    }

    async fn work(&self, row: &Model) -> Result<(), StoreError> {
        let done = match row.state {
            State::Installing => self.install(row).await,
            State::Dropping => self.remove(row).await,
            State::Installed | State::Uninstalled => return Ok(()),
        };
        let Err(failure) = done else { return Ok(()) };
        let wait = self.settings.backoff(row.attempts, row.id.as_u128() as u32);
        let reason = failure.reason.as_str().to_owned();
        let after = Model { last_error: Some(reason), due_at: Some(self.app.now() + wait), ..row.clone() };
        plugins::save(&self.app.db, row, after).await.map(drop)
    }

    async fn install(&self, row: &Model) -> Result<(), StepFailure> {
        let (company_id, plugin) = (row.company_id.to_string(), row.plugin.clone());
        let request = InstallTenantPluginRequest { company_id, plugin };
        let request = client::request(request, Instant::now() + self.settings.step_timeout());
        let made = self.app.migrator.clone().install_tenant_plugin(request).await?.into_inner();
        let after = Model {
            state: State::Installed,
            schema_version: Some(made.schema_version),
            last_error: None,
            due_at: None,
            updated_at: self.app.now(),
            ..row.clone()
        };
        self.end(row, Some(after), "plugin.installed").await.map_err(|error| Error::from(error).into())
    }

    async fn remove(&self, row: &Model) -> Result<(), StepFailure> {
        let (company_id, plugin) = (row.company_id.to_string(), row.plugin.clone());
        let request = DropTenantPluginRequest { company_id, plugin };
        let request = client::request(request, Instant::now() + self.settings.step_timeout());
        self.app.migrator.clone().drop_tenant_plugin(request).await?;
        self.end(row, None, "plugin.removed").await.map_err(|error| Error::from(error).into())
    }

    /// The row's end and the event, or neither: somebody else may have taken it, or wants something else by now.
    async fn end(&self, row: &Model, after: Option<Model>, kind: &'static str) -> Result<(), StoreError> {
        let tx = self.app.db.begin().await?;
        let to = after.as_ref().map(|after| after.state.as_str());
        let version = after.as_ref().and_then(|after| after.schema_version.clone());
        let is_mine = match after {
            Some(after) => plugins::save(&tx, row, after).await?.is_some(),
            None => plugins::remove(&tx, row).await?,
        };
        if !is_mine {
            return Ok(());
        }
        let payload = json!({ "plugin": row.plugin, "from": row.state.as_str(), "to": to, "schema_version": version });
        tell(&self.app, &tx, row.company_id, (kind, &row.changed_by), payload).await?;
        tx.commit().await?;
        self.app.changes.wake();
        Ok(())
    }
}

//! Brings every rotation to its end, whoever began it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tenantry_api::migrator::v1::{CredentialSlot, LockTenantCredentialRequest, SetTenantCredentialRequest};
use tenantry_ids::EventId;
use tenantry_rpc::{Error, Shutdown, client};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::app::provisioning::{StepFailure, WorkerSettings, verifier_of};
use crate::domain::Action;
use crate::store::entities::credential_rotation::{Model, State};
use crate::store::{StoreError, changes, events, rotations};

/// The rotations' worker in one process.
pub(crate) struct Rotations {
    pub(crate) app: Arc<App>,
    pub(crate) settings: WorkerSettings,
}

impl Rotations {
    /// Works until the shutdown begins; what is under way is finished, or dropped when the shutdown is forced and then
    /// taken up by whoever is next.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let worker = Arc::new(self);
        let at_once = Arc::new(Semaphore::new(worker.settings.provision_at_once.max(1)));
        let tasks = TaskTracker::new();
        while !shutdown.has_begun() {
            if let Err(error) = worker.clone().dispatch(&at_once, &tasks).await {
                tracing::warn!(%error, "rotations cannot look for work");
            }
            tokio::select! {
                () = worker.app.rotations.woken() => {}
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
        for seen in rotations::due(&self.app.db, now, room).await? {
            let Ok(permit) = at_once.clone().try_acquire_owned() else { return Ok(()) };
            // Longer than a step may take: another replica comes only when this one is gone.
            let until = now + self.settings.step_timeout() + self.settings.lease();
            let Some(row) = rotations::take(&self.app.db, seen, until).await? else { continue };
            let worker = self.clone();
            tasks.spawn(async move {
                if let Err(error) = worker.work(&row).await {
                    tracing::warn!(tenant = %row.company_id, %error, "a rotation stopped; it goes on by itself");
                }
                drop(permit);
                worker.app.rotations.changed(row.company_id);
                // There may be more than there was room for.
                worker.app.rotations.wake();
            });
        }
        Ok(())
    }

    async fn work(&self, row: &Model) -> Result<(), StoreError> {
        let done = match row.state {
            State::Installing => self.install(row).await,
            State::Draining => self.lock_former(row).await,
        };
        let Err(failure) = done else { return Ok(()) };
        if !failure.retryable {
            // There is no such database any more.
            return rotations::remove(&self.app.db, row).await;
        }
        let wait = self.settings.backoff(row.attempts, row.company_id.0.as_u128() as u32);
        rotations::fail(&self.app.db, row, failure.reason.as_str(), self.app.now() + wait).await
    }

    async fn install(&self, row: &Model) -> Result<(), StepFailure> {
        let sealed = row.sealed_password.as_deref().unwrap_or_default();
        let request = SetTenantCredentialRequest {
            company_id: row.company_id.to_string(),
            password_verifier: Some(verifier_of(&self.app, row.database_id, sealed)?),
            slot: slot(row.slot).into(),
            generation: row.generation,
        };
        let request = client::request(request, Instant::now() + self.settings.step_timeout());
        let made = self.app.migrator.clone().set_tenant_credential(request).await?.into_inner();
        self.switch(row, &made.role).await.map_err(|error| Error::from(error).into())
    }

    /// The new credential, the generation and the event, or none of them.
    async fn switch(&self, row: &Model, role: &str) -> Result<(), StoreError> {
        let now = self.app.now();
        let tx = self.app.db.begin().await?;
        if !rotations::drain(&tx, row, now + self.app.settings.credential_drain).await? {
            return Ok(()); // Somebody else has taken it.
        }
        if !rotations::switch(&tx, row, role, now).await? {
            // Purged meanwhile, and the role with its database.
            rotations::remove(&tx, row).await?;
            return tx.commit().await;
        }
        let event = events::NewEvent {
            id: EventId::new(&*self.app.ids),
            company: Some(row.company_id),
            kind: Action::RotateCredential.event(),
            actor: &row.created_by,
            payload: json!({ "database_id": row.database_id, "generation": row.generation, "role": role }),
        };
        events::append(&tx, event, now).await?;
        changes::append(&tx, [row.company_id], now).await?;
        tx.commit().await?;
        self.app.changes.wake();
        Ok(())
    }

    /// Not the role that is handed out: that one is the row's, and no other rotation begins before this one ends.
    async fn lock_former(&self, row: &Model) -> Result<(), StepFailure> {
        let request = LockTenantCredentialRequest {
            company_id: row.company_id.to_string(),
            slot: slot(1 - row.slot).into(),
            generation: row.generation,
        };
        let request = client::request(request, Instant::now() + self.settings.step_timeout());
        self.app.migrator.clone().lock_tenant_credential(request).await?;
        rotations::remove(&self.app.db, row).await.map_err(|error| Error::from(error).into())
    }
}

fn slot(number: i32) -> CredentialSlot {
    if number == 0 { CredentialSlot::First } else { CredentialSlot::Second }
}

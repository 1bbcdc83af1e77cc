//! Keys are made, announced, used, retired and removed: by the schedule, by an operator, or because somebody brings one.

use chrono::{DateTime, Utc};
use serde_json::json;
use tenantry_ids::{EventId, IdSource, KeyId};
use tenantry_rpc::auth::{KeyAlgorithm, SigningKey};
use tenantry_rpc::{Clock, Context, Error, Reason, Shutdown};
use tokio::time::Duration;
use zeroize::Zeroizing;

use super::{Keyring, KeyringError, facts, owner};
use crate::app::App;
use crate::domain::{KeyChange, KeyState, due};
use crate::store::entities::signing_key::Model;
use crate::store::{CentralTx, events, keys};

impl Keyring {
    /// Keeps up with the schedule until the shutdown begins.
    pub(crate) async fn run(&self, ids: &dyn IdSource, clock: &dyn Clock, every: Duration, shutdown: Shutdown) {
        let mut warned = false;
        while !shutdown.has_begun() {
            match self.keep_up(ids, clock.now()).await {
                Ok(()) => warned = false,
                Err(error) if !warned => {
                    warned = true;
                    tracing::warn!(%error, "signing keys cannot be kept up; trying again");
                }
                Err(error) => tracing::debug!(%error, "signing keys still cannot be kept up"),
            }
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = shutdown.begun() => {}
            }
        }
    }

    /// Does what is due, the first key among it. Under the lock it looks again: another replica may have done it.
    pub(crate) async fn keep_up(&self, ids: &dyn IdSource, now: DateTime<Utc>) -> Result<(), KeyringError> {
        if self.due(&keys::list(&self.db).await?, now).is_empty() {
            self.reread().await?;
            return Ok(());
        }
        let tx = self.db.begin().await?;
        keys::lock(&tx).await?;
        for change in self.due(&keys::list(&tx).await?, now) {
            self.apply(&tx, change, ids, now).await?;
        }
        tx.commit().await?;
        self.reread().await?;
        Ok(())
    }

    fn due(&self, rows: &[Model], now: DateTime<Utc>) -> Vec<KeyChange> {
        due(&rows.iter().map(facts).collect::<Vec<_>>(), now, &self.times)
    }

    async fn apply(
        &self,
        tx: &CentralTx,
        change: KeyChange,
        ids: &dyn IdSource,
        now: DateTime<Utc>,
    ) -> Result<(), KeyringError> {
        match change {
            KeyChange::Make { state, signs_from } => {
                let made = self.make(tx, state, signs_from, ids, now).await?;
                tracing::info!(key_id = %made.id, signs_from = %signs_from.to_rfc3339(), "a signing key is made");
            }
            KeyChange::Promote { next } => {
                tracing::info!(key_id = %next, "a signing key begins to sign");
                keys::set_start(tx, next, KeyState::Current, now).await?;
                let payload = json!({ "key_id": next });
                let actor = "service:catalog";
                let event = events::NewEvent {
                    id: EventId::new(ids),
                    company: None,
                    kind: "signing_key.rotated",
                    actor,
                    payload,
                };
                events::append(tx, event, now).await?;
            }
            KeyChange::Retire { id, goes_at } => {
                tracing::info!(key_id = %id, goes_at = %goes_at.to_rfc3339(), "a signing key signs no more");
                keys::retire(tx, id, goes_at).await?;
            }
            KeyChange::Remove { id } => {
                tracing::info!(key_id = %id, "a signing key is gone");
                keys::remove(tx, id).await?;
            }
        }
        Ok(())
    }

    /// A new ES256 key.
    async fn make(
        &self,
        tx: &CentralTx,
        state: KeyState,
        signs_from: DateTime<Utc>,
        ids: &dyn IdSource,
        now: DateTime<Utc>,
    ) -> Result<Model, KeyringError> {
        let pkcs8 = Zeroizing::new(SigningKey::generate()?);
        let id = KeyId::new(ids);
        self.add(tx, SigningKey::from_pkcs8(id.to_string(), &pkcs8)?, (id, state, &pkcs8), (signs_from, now)).await
    }

    async fn add(
        &self,
        tx: &CentralTx,
        key: SigningKey,
        (id, state, pkcs8): (KeyId, KeyState, &[u8]),
        (not_before, now): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Model, KeyringError> {
        let kid = id.to_string();
        let sealed = self.sealer.seal(&owner(&kid), pkcs8);
        let sealed_private = sealed.map_err(|source| KeyringError::Sealed { kid: kid.clone(), source })?;
        let row = Model {
            id,
            algorithm: key.algorithm().as_str().to_owned(),
            state,
            public_jwk: serde_json::to_string(key.public()).map_err(|_| KeyringError::Public(kid))?,
            sealed_private,
            not_before,
            not_after: None,
            created_at: now,
        };
        keys::insert(tx, row.clone()).await?;
        Ok(row)
    }

    /// Somebody's own key becomes the next one, and signs after the overlap. One that waited in its place goes: it has
    /// signed nothing.
    pub(crate) async fn import(
        &self,
        algorithm: KeyAlgorithm,
        pkcs8: &[u8],
        ids: &dyn IdSource,
        now: DateTime<Utc>,
    ) -> Result<Model, KeyringError> {
        let id = KeyId::new(ids);
        let key = SigningKey::of(algorithm, id.to_string(), pkcs8)?;
        let tx = self.db.begin().await?;
        keys::lock(&tx).await?;
        for row in keys::list(&tx).await?.iter().filter(|row| row.state == KeyState::Next) {
            keys::remove(&tx, row.id).await?;
        }
        let row = self.add(&tx, key, (id, KeyState::Next, pkcs8), (now + self.times.overlap, now)).await?;
        tx.commit().await?;
        Ok(row)
    }

    /// The next key, whose time comes as soon as it has been announced for the overlap.
    async fn hasten(&self, actor: &str, ids: &dyn IdSource, now: DateTime<Utc>) -> Result<Model, KeyringError> {
        let tx = self.db.begin().await?;
        keys::lock(&tx).await?;
        let next = keys::list(&tx).await?.into_iter().rfind(|row| row.state == KeyState::Next);
        let next = match next {
            Some(next) => {
                let soonest = next.not_before.min(next.created_at + self.times.overlap);
                keys::set_start(&tx, next.id, KeyState::Next, soonest).await?;
                Model { not_before: soonest, ..next }
            }
            None => self.make(&tx, KeyState::Next, now + self.times.overlap, ids, now).await?,
        };
        let event = events::NewEvent {
            id: EventId::new(ids),
            company: None,
            kind: "signing_key.hastened",
            actor,
            payload: json!({ "key_id": next.id, "signs_from": next.not_before }),
        };
        events::append(&tx, event, now).await?;
        tx.commit().await?;
        self.reread().await?;
        Ok(next)
    }

    /// The key is no key any more. `None` when there is no such key; else the one that signs.
    async fn strike(
        &self,
        tx: &CentralTx,
        id: KeyId,
        ids: &dyn IdSource,
        now: DateTime<Utc>,
    ) -> Result<Option<Model>, KeyringError> {
        keys::lock(tx).await?;
        if !keys::remove(tx, id).await? {
            return Ok(None);
        }
        let rows = keys::list(tx).await?;
        let one = |state| rows.iter().rfind(|row| row.state == state).cloned();
        if let Some(current) = one(KeyState::Current) {
            return Ok(Some(current));
        }
        match one(KeyState::Next) {
            // It is known to verifiers already.
            Some(next) => {
                keys::set_start(tx, next.id, KeyState::Current, now).await?;
                Ok(Some(Model { state: KeyState::Current, not_before: now, ..next }))
            }
            None => Ok(Some(self.make(tx, KeyState::Current, now, ids, now).await?)),
        }
    }
}

/// Every key, oldest first.
pub(crate) async fn list(app: &App) -> Result<Vec<Model>, Error> {
    Ok(keys::list(&app.db).await?)
}

/// Has the next key come as soon as it disturbs nobody.
pub(crate) async fn rotate(app: &App, context: &Context) -> Result<Model, Error> {
    Ok(app.keyring.hasten(&context.caller().subject(), &*app.ids, app.now()).await?)
}

/// Refuses a key from now on, and every token of it. This process follows at once, the others when they look again.
pub(crate) async fn revoke(app: &App, context: &Context, id: KeyId) -> Result<Model, Error> {
    let now = app.now();
    let tx = app.db.begin().await?;
    let current = app.keyring.strike(&tx, id, &*app.ids, now).await?;
    let current = current.ok_or_else(|| {
        Error::new(Reason::KeyNotFound, "there is no such signing key; list them with ListSigningKeys")
    })?;
    let actor = context.caller().subject();
    let payload = json!({ "key_id": id, "current_key_id": current.id });
    let event = events::NewEvent {
        id: EventId::new(&*app.ids),
        company: None,
        kind: "signing_key.revoked",
        actor: &actor,
        payload,
    };
    events::append(&tx, event, now).await?;
    tx.commit().await?;
    if let Err(error) = app.token_keys.refresh().await {
        tracing::warn!(%error, cause = %error.0, "a revoked key is refused here when the keys are read again");
    }
    Ok(current)
}

//! What the use cases that write have in common: who acts, when, and an entry in the audit trail for every change.

use chrono::{DateTime, Utc};
use tenantry_idempotency::{Fingerprint, Key};
use tenantry_ids::PrincipalId;
use tenantry_rpc::Context;
use tenantry_tenancy::{Isolation, TenantConnection, TenantDb, TxOptions};
use uuid::Uuid;

use super::{App, CrmError, search};
use crate::domain::{Content, Stored, sale};
use crate::store::audit;
use crate::store::table::{self, Of, Table};

/// A request that may be a repetition; `None` where the caller does not care.
pub(crate) type Replay = Option<(Key, Fingerprint)>;

/// How often a transaction is run that collides with others; each run waits longer than the one before.
pub(super) const ATTEMPTS: TxOptions = TxOptions { isolation: Isolation::Default, attempts: 6 };

/// A use case at work, within one transaction.
pub(crate) struct Act<'a> {
    app: &'a App,
    actor: String,
    pub(super) by: PrincipalId,
    pub(super) now: DateTime<Utc>,
    /// Whether the schema has what people are found by.
    pub(super) has_tokens: bool,
    /// Whether the company has the plugin, so that debts may be instalments.
    pub(super) has_appliances: bool,
}

impl<'a> Act<'a> {
    pub(super) fn begin(app: &'a App, db: &TenantDb<'_>, context: &Context) -> Result<Self, CrmError> {
        let (actor, by) = (context.caller().subject(), context.user()?.principal());
        let (has_tokens, has_appliances) = (search::has_tokens(db), db.has_plugin(sale::PLUGIN));
        Ok(Self { app, actor, by, now: app.clock.now(), has_tokens, has_appliances })
    }

    pub(super) fn new_id(&self) -> Uuid {
        self.app.ids.uuid()
    }

    pub(super) fn stored<T: Content>(&self, content: T) -> Stored<T> {
        Stored::new(self.new_id(), content, self.now)
    }

    pub(super) async fn insert<T: Table>(
        &self,
        tx: &impl TenantConnection,
        content: T::Content,
    ) -> Result<Of<T>, CrmError> {
        let stored = self.stored(content);
        table::insert::<T>(tx, &stored).await?;
        self.created(tx, &stored).await?;
        Ok(stored)
    }

    pub(super) async fn update<T: Table>(
        &self,
        tx: &impl TenantConnection,
        before: &Of<T>,
        content: T::Content,
    ) -> Result<Of<T>, CrmError> {
        let after = before.changed(content, self.now);
        if !table::update::<T>(tx, &after).await? {
            return Err(CrmError::EtagMismatch(T::Content::THING));
        }
        self.changed(tx, before, &after).await?;
        Ok(after)
    }

    pub(super) async fn delete<T: Table>(&self, tx: &impl TenantConnection, before: &Of<T>) -> Result<(), CrmError> {
        if !table::delete::<T>(tx, before).await? {
            return Err(CrmError::EtagMismatch(T::Content::THING));
        }
        self.note(tx, "deleted", Some(before), None).await
    }

    pub(super) async fn created<T: Content>(
        &self,
        tx: &impl TenantConnection,
        after: &Stored<T>,
    ) -> Result<(), CrmError> {
        self.note(tx, "created", None, Some(after)).await
    }

    /// The same of many.
    pub(super) async fn created_all<T: Content>(
        &self,
        tx: &impl TenantConnection,
        after: &[Stored<T>],
    ) -> Result<(), CrmError> {
        let changes = after.iter().map(|after| self.change("created", None, Some(after))).collect();
        Ok(audit::append_all(tx, changes).await?)
    }

    pub(super) async fn changed<T: Content>(
        &self,
        tx: &impl TenantConnection,
        before: &Stored<T>,
        after: &Stored<T>,
    ) -> Result<(), CrmError> {
        self.note(tx, "updated", Some(before), Some(after)).await
    }

    async fn note<T: Content>(
        &self,
        tx: &impl TenantConnection,
        verb: &'static str,
        before: Option<&Stored<T>>,
        after: Option<&Stored<T>>,
    ) -> Result<(), CrmError> {
        Ok(audit::append_all(tx, vec![self.change(verb, before, after)]).await?)
    }

    fn change<T: Content>(
        &self,
        verb: &'static str,
        before: Option<&Stored<T>>,
        after: Option<&Stored<T>>,
    ) -> audit::Change<'_> {
        let entity = T::THING.noun().replace(' ', "_");
        audit::Change {
            id: self.new_id(),
            actor: &self.actor,
            action: format!("{entity}.{verb}"),
            entity,
            entity_id: after.or(before).map(Stored::uuid).unwrap_or_default(),
            before: before.map(Stored::state),
            after: after.map(Stored::state),
            at: self.now,
        }
    }

    /// What the same request made before.
    pub(super) async fn earlier(&self, tx: &impl TenantConnection, replay: &Replay) -> Result<Option<Uuid>, CrmError> {
        let found = self.earlier_answer(tx, replay).await?;
        Ok(found.and_then(|bytes| Uuid::from_slice(&bytes).ok()))
    }

    /// What the same request was answered before.
    pub(super) async fn earlier_answer(
        &self,
        tx: &impl TenantConnection,
        replay: &Replay,
    ) -> Result<Option<Vec<u8>>, CrmError> {
        let Some((key, fingerprint)) = replay else { return Ok(None) };
        Ok(tenantry_idempotency::find(tx, key, fingerprint, self.now).await?)
    }

    /// Notes what the request made, for its repetitions.
    pub(super) async fn remember(
        &self,
        tx: &impl TenantConnection,
        replay: &Replay,
        made: Uuid,
    ) -> Result<(), CrmError> {
        self.remember_answer(tx, replay, made.as_bytes().to_vec()).await
    }

    /// Notes what the request is answered, for its repetitions.
    pub(super) async fn remember_answer(
        &self,
        tx: &impl TenantConnection,
        replay: &Replay,
        response: Vec<u8>,
    ) -> Result<(), CrmError> {
        if let Some((key, fingerprint)) = replay.clone() {
            tenantry_idempotency::record(tx, key, fingerprint, response, self.now).await?;
        }
        Ok(())
    }
}

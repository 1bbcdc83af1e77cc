//! Text messages: written from templates, put into the outbox, taken by gateways under leases.

use std::collections::BTreeMap;

use chrono::Duration;
use sea_orm::Condition;
use tenantry_ids::{PersonId, SmsId, SmsTemplateId};
use tenantry_rpc::Context;
use tenantry_rpc::paging::Page;
use tenantry_tenancy::{TenantConnection, TenantDb};

use super::act::ATTEMPTS;
use super::standard::misfit;
use super::{Act, App, CrmError, Replay, Standard};
use crate::domain::sms::{self, MOST_SEGMENTS, Outcome};
use crate::domain::{Sms, SmsState, SmsTemplate, Stored, Thing};
use crate::store::people::People;
use crate::store::sms::{self as outbox, Messages, SmsFilter};
use crate::store::sms_templates::{self, SmsTemplates};
use crate::store::{addresses, table};

impl Standard for SmsTemplates {
    type Filter = Condition;

    async fn check(
        _: &Act<'_>,
        tx: &impl TenantConnection,
        template: &SmsTemplate,
        before: Option<&Stored<SmsTemplate>>,
    ) -> Result<(), CrmError> {
        match sms_templates::is_taken(tx, template, before.map(|before| before.id)).await? {
            true => Err(CrmError::NameTaken(Thing::SmsTemplate)),
            false => Ok(()),
        }
    }

    async fn remove(act: &Act<'_>, tx: &impl TenantConnection, before: &Stored<SmsTemplate>) -> Result<(), CrmError> {
        act.delete::<SmsTemplates>(tx, before).await
    }
}

/// Whom a message is for.
pub(crate) enum Recipient {
    Person(PersonId),
    Phone(String),
}

/// What a message says.
pub(crate) enum Text {
    Template(SmsTemplateId, BTreeMap<String, String>),
    Body(String),
}

/// Puts a message into the outbox, once for each request id.
pub(crate) async fn send(
    app: &App,
    db: &TenantDb<'_>,
    context: &Context,
    (recipient, text): &(Recipient, Text),
    replay: &Replay,
) -> Result<Stored<Sms>, CrmError> {
    db.transaction_with(ATTEMPTS, |tx| async move {
        let act = Act::begin(app, db, context)?;
        if let Some(id) = act.earlier(&tx, replay).await? {
            return table::find::<Messages>(&tx, id).await?.ok_or(CrmError::NotFound(Thing::Sms));
        }
        let (person_id, phone) = match recipient {
            Recipient::Phone(phone) => (None, phone.clone()),
            Recipient::Person(id) => (Some(*id), phone_of(&tx, *id).await?),
        };
        let (template_id, body) = match text {
            Text::Body(body) => (None, body.clone()),
            Text::Template(id, values) => {
                let template = table::find::<SmsTemplates>(&tx, *id).await?;
                let template = template.ok_or(CrmError::NotFound(Thing::SmsTemplate))?.content;
                let body = sms::write(&template.body, values).map_err(|problem| misfit("values", problem))?;
                (Some(*id), body)
            }
        };
        if sms::segments(&body) > MOST_SEGMENTS {
            let field = if template_id.is_some() { "values" } else { "body" };
            return Err(misfit(field, "must make a message of at most 10 segments"));
        }
        let message = Sms {
            person_id,
            template_id,
            phone,
            body,
            state: SmsState::Queued,
            attempts: 0,
            provider_reference: None,
            error: None,
            sent_at: None,
            lease_until: None,
            fence: 0,
        };
        let made = act.insert::<Messages>(&tx, message).await?;
        act.remember(&tx, replay, made.uuid()).await?;
        Ok(made)
    })
    .await
}

/// The primary address's phone, or the oldest one's that has any.
async fn phone_of(tx: &impl TenantConnection, person: PersonId) -> Result<String, CrmError> {
    table::find::<People>(tx, person).await?.ok_or(CrmError::NotFound(Thing::Person))?;
    let mut addresses = addresses::lock_all(tx, person).await?;
    addresses.sort_by_key(|address| (!address.content.primary, address.uuid()));
    let phone = addresses.into_iter().find_map(|address| address.content.phone);
    phone.ok_or_else(|| misfit("person_id", "must be a person with a phone, or set phone instead"))
}

/// One message.
pub(crate) async fn get(db: &TenantDb<'_>, id: SmsId) -> Result<Stored<Sms>, CrmError> {
    table::find::<Messages>(&db.read().await?, id).await?.ok_or(CrmError::NotFound(Thing::Sms))
}

/// A page of messages and one more, oldest first.
pub(crate) async fn list(db: &TenantDb<'_>, filter: SmsFilter, page: &Page) -> Result<Vec<Stored<Sms>>, CrmError> {
    Ok(table::page::<Messages>(&db.read().await?, filter.into(), page.after, page.size + 1).await?)
}

/// Takes the oldest messages for so long. They are locked first, so of two gateways at once one gets each.
pub(crate) async fn lease(
    app: &App,
    db: &TenantDb<'_>,
    context: &Context,
    (most, lasting): (u64, Duration),
) -> Result<Vec<Stored<Sms>>, CrmError> {
    db.transaction_with(ATTEMPTS, |tx| async move {
        let act = Act::begin(app, db, context)?;
        for lost in outbox::free(&tx, act.now, false, most).await? {
            let error = Some("the gateway never reported what became of it".to_owned());
            let content = Sms { state: SmsState::Failed, error, lease_until: None, ..lost.content.clone() };
            match act.update::<Messages>(&tx, &lost, content).await {
                Ok(_) | Err(CrmError::EtagMismatch(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let mut taken = Vec::new();
        for free in outbox::free(&tx, act.now, true, most).await? {
            let (attempts, fence) = (free.content.attempts + 1, free.content.fence + 1);
            let lease_until = Some(act.now + lasting);
            let after = free.changed(Sms { attempts, fence, lease_until, ..free.content.clone() }, act.now);
            // What gateways do with messages is told by its outcome, so a lease has no entry in the audit trail.
            if table::update::<Messages>(&tx, &after).await? {
                taken.push(after);
            }
        }
        Ok(taken)
    })
    .await
}

/// Notes what a gateway says of a message that it has taken under this fence.
pub(crate) async fn report(
    app: &App,
    db: &TenantDb<'_>,
    context: &Context,
    (id, fence): (SmsId, i64),
    (outcome, reference): (&Outcome, Option<&str>),
) -> Result<Stored<Sms>, CrmError> {
    db.transaction_with(ATTEMPTS, |tx| async move {
        let act = Act::begin(app, db, context)?;
        let before = table::lock::<Messages>(&tx, id).await?.ok_or(CrmError::NotFound(Thing::Sms))?;
        if before.content.fence != fence {
            return Err(CrmError::LeaseLost);
        }
        let after = before.content.reported(outcome, reference, act.now);
        match after == before.content {
            true => Ok(before),
            false => act.update::<Messages>(&tx, &before, after).await,
        }
    })
    .await
}

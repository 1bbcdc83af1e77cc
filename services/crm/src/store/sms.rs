//! The outbox of text messages.

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, QueryOrder, QuerySelect};
use tenantry_ids::{PersonId, SmsId, SmsTemplateId};
use tenantry_tenancy::TenantConnection;

use super::table::{Table, table};
use crate::domain::sms::MOST_ATTEMPTS;
use crate::domain::{Sms, SmsState, Stored};

pub(crate) use row::Entity as Messages;

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sms_messages")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: SmsId,
        pub person_id: Option<PersonId>,
        pub template_id: Option<SmsTemplateId>,
        pub phone: String,
        pub body: String,
        pub(crate) state: SmsState,
        pub attempts: i32,
        pub provider_reference: Option<String>,
        pub error: Option<String>,
        pub revision: i64,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
        pub sent_at: Option<DateTime<Utc>>,
        pub lease_until: Option<DateTime<Utc>>,
        pub fence: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

table!(row, Sms, columns: columns, read: read);

fn read(row: row::Model) -> Sms {
    Sms {
        person_id: row.person_id,
        template_id: row.template_id,
        phone: row.phone,
        body: row.body,
        state: row.state,
        attempts: row.attempts,
        provider_reference: row.provider_reference,
        error: row.error,
        sent_at: row.sent_at,
        lease_until: row.lease_until,
        fence: row.fence,
    }
}

fn columns(sms: &Sms) -> row::ActiveModel {
    row::ActiveModel {
        person_id: Set(sms.person_id),
        template_id: Set(sms.template_id),
        phone: Set(sms.phone.clone()),
        body: Set(sms.body.clone()),
        state: Set(sms.state),
        attempts: Set(sms.attempts),
        provider_reference: Set(sms.provider_reference.clone()),
        error: Set(sms.error.clone()),
        sent_at: Set(sms.sent_at),
        lease_until: Set(sms.lease_until),
        fence: Set(sms.fence),
        ..Default::default()
    }
}

/// The oldest that nobody has a lease of now, at most so many: with attempts left, or without. Nobody else changes them
/// before this transaction ends.
pub(crate) async fn free(
    db: &impl TenantConnection,
    now: DateTime<Utc>,
    with_attempts_left: bool,
    limit: u64,
) -> Result<Vec<Stored<Sms>>, DbErr> {
    let free = Condition::any().add(row::Column::LeaseUntil.is_null()).add(row::Column::LeaseUntil.lte(now));
    let attempts = match with_attempts_left {
        true => row::Column::Attempts.lt(MOST_ATTEMPTS),
        false => row::Column::Attempts.gte(MOST_ATTEMPTS),
    };
    let query = Messages::find().filter(row::Column::State.eq(SmsState::Queued)).filter(attempts).filter(free);
    let sorted = query.order_by_asc(row::Column::CreatedAt).order_by_asc(row::Column::Id).limit(limit).lock_exclusive();
    Ok(sorted.all(db).await?.into_iter().map(Messages::read).collect())
}

/// What a list is about; `None`: any.
#[derive(Debug, Clone, Default)]
pub(crate) struct SmsFilter {
    pub(crate) state: Option<SmsState>,
    pub(crate) person_id: Option<PersonId>,
    pub(crate) phone: Option<String>,
}

impl From<SmsFilter> for Condition {
    fn from(filter: SmsFilter) -> Self {
        Condition::all()
            .add_option(filter.state.map(|state| row::Column::State.eq(state)))
            .add_option(filter.person_id.map(|person| row::Column::PersonId.eq(person)))
            .add_option(filter.phone.map(|phone| row::Column::Phone.eq(phone)))
    }
}

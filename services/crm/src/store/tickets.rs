//! Tickets.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::Condition;
use sea_orm::entity::prelude::*;
use tenantry_ids::{DeviceId, PersonId, PrincipalId, TicketCategoryId, TicketId, UserId};

use super::table::table;
use crate::domain::{Ticket, TicketStatus};

pub(crate) use row::Entity as Tickets;

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "tickets")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: TicketId,
        pub category_id: TicketCategoryId,
        pub person_id: Option<PersonId>,
        pub device_id: Option<DeviceId>,
        pub title: String,
        pub description: Option<String>,
        pub(crate) status: TicketStatus,
        pub creator_id: PrincipalId,
        pub assignee_id: Option<UserId>,
        pub due_date: Option<NaiveDate>,
        pub closed_at: Option<DateTime<Utc>>,
        pub revision: i64,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

table!(row, Ticket, columns: columns, read: read);

fn read(row: row::Model) -> Ticket {
    Ticket {
        creator_id: row.creator_id,
        closed_at: row.closed_at,
        category_id: row.category_id,
        person_id: row.person_id,
        device_id: row.device_id,
        title: row.title,
        description: row.description,
        status: row.status,
        assignee_id: row.assignee_id,
        due_date: row.due_date,
    }
}

fn columns(ticket: &Ticket) -> row::ActiveModel {
    row::ActiveModel {
        category_id: Set(ticket.category_id),
        person_id: Set(ticket.person_id),
        device_id: Set(ticket.device_id),
        title: Set(ticket.title.clone()),
        description: Set(ticket.description.clone()),
        status: Set(ticket.status),
        creator_id: Set(ticket.creator_id),
        assignee_id: Set(ticket.assignee_id),
        due_date: Set(ticket.due_date),
        closed_at: Set(ticket.closed_at),
        ..Default::default()
    }
}

/// What a list is about; `None`: any.
#[derive(Debug, Clone, Default)]
pub(crate) struct TicketFilter {
    pub(crate) status: Option<TicketStatus>,
    pub(crate) category_id: Option<TicketCategoryId>,
    pub(crate) person_id: Option<PersonId>,
    pub(crate) device_id: Option<DeviceId>,
    pub(crate) assignee_id: Option<UserId>,
    pub(crate) creator_id: Option<PrincipalId>,
    pub(crate) due_before: Option<NaiveDate>,
}

impl From<TicketFilter> for Condition {
    fn from(filter: TicketFilter) -> Self {
        Condition::all()
            .add_option(filter.status.map(|status| row::Column::Status.eq(status)))
            .add_option(filter.category_id.map(of_category))
            .add_option(filter.person_id.map(|person| row::Column::PersonId.eq(person)))
            .add_option(filter.device_id.map(|device| row::Column::DeviceId.eq(device)))
            .add_option(filter.assignee_id.map(|assignee| row::Column::AssigneeId.eq(assignee)))
            .add_option(filter.creator_id.map(|creator| row::Column::CreatorId.eq(creator)))
            .add_option(filter.due_before.map(|date| row::Column::DueDate.lt(date)))
    }
}

pub(crate) fn of_category(category: TicketCategoryId) -> Condition {
    Condition::all().add(row::Column::CategoryId.eq(category))
}

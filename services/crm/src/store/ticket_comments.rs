//! What people write to tickets.

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, QueryOrder, QuerySelect};
use tenantry_ids::{PrincipalId, TicketCommentId, TicketId};
use tenantry_tenancy::TenantConnection;
use uuid::Uuid;

use crate::domain::{Stored, TicketComment};

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "ticket_comments")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: TicketCommentId,
        pub ticket_id: TicketId,
        pub author_id: PrincipalId,
        pub body: String,
        pub created_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

fn read(row: row::Model) -> Stored<TicketComment> {
    let content = TicketComment { ticket_id: row.ticket_id, author_id: row.author_id, body: row.body };
    Stored::new(row.id.0, content, row.created_at)
}

pub(crate) async fn insert(db: &impl TenantConnection, comment: &Stored<TicketComment>) -> Result<(), DbErr> {
    let row = row::ActiveModel {
        id: Set(comment.id),
        ticket_id: Set(comment.content.ticket_id),
        author_id: Set(comment.content.author_id),
        body: Set(comment.content.body.clone()),
        created_at: Set(comment.created_at),
    };
    row::Entity::insert(row).exec_without_returning(db).await.map(drop)
}

pub(crate) async fn find(db: &impl TenantConnection, id: Uuid) -> Result<Option<Stored<TicketComment>>, DbErr> {
    Ok(row::Entity::find_by_id(TicketCommentId(id)).one(db).await?.map(read))
}

/// At most `limit` of a ticket's after this id, oldest entry first.
pub(crate) async fn page(
    db: &impl TenantConnection,
    ticket: TicketId,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Stored<TicketComment>>, DbErr> {
    let filter = Condition::all()
        .add(row::Column::TicketId.eq(ticket))
        .add_option(after.map(|after| row::Column::Id.gt(TicketCommentId(after))));
    let query = row::Entity::find().filter(filter).order_by_asc(row::Column::Id).limit(limit);
    Ok(query.all(db).await?.into_iter().map(read).collect())
}

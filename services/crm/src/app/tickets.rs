//! Tickets, and what people write to them.

use tenantry_ids::TicketId;
use tenantry_rpc::Context;
use tenantry_rpc::paging::Page;
use tenantry_tenancy::{TenantConnection, TenantDb};

use super::act::ATTEMPTS;
use super::standard::exists;
use super::{Act, App, CrmError, Replay, Standard};
use crate::domain::{Stored, Thing, Ticket, TicketComment};
use crate::store::devices::Devices;
use crate::store::people::People;
use crate::store::ticket_categories::TicketCategories;
use crate::store::ticket_comments as comments;
use crate::store::tickets::{TicketFilter, Tickets};

impl Standard for Tickets {
    type Filter = TicketFilter;

    async fn check(
        _: &Act<'_>,
        tx: &impl TenantConnection,
        ticket: &Ticket,
        _: Option<&Stored<Ticket>>,
    ) -> Result<(), CrmError> {
        exists::<TicketCategories>(tx, Some(ticket.category_id)).await?;
        exists::<People>(tx, ticket.person_id).await?;
        exists::<Devices>(tx, ticket.device_id).await
    }

    async fn add(act: &Act<'_>, tx: &impl TenantConnection, ticket: Ticket) -> Result<Stored<Ticket>, CrmError> {
        let ticket = Ticket { creator_id: act.by, ..ticket };
        act.insert::<Tickets>(tx, ticket.stamped(act.now)).await
    }

    async fn change(
        act: &Act<'_>,
        tx: &impl TenantConnection,
        before: &Stored<Ticket>,
        ticket: Ticket,
    ) -> Result<Stored<Ticket>, CrmError> {
        act.update::<Tickets>(tx, before, ticket.stamped(act.now)).await
    }

    async fn remove(act: &Act<'_>, tx: &impl TenantConnection, before: &Stored<Ticket>) -> Result<(), CrmError> {
        act.delete::<Tickets>(tx, before).await
    }
}

/// Writes a comment, once for each request id.
pub(crate) async fn comment(
    app: &App,
    db: &TenantDb<'_>,
    context: &Context,
    (ticket_id, body): (TicketId, &str),
    replay: &Replay,
) -> Result<Stored<TicketComment>, CrmError> {
    db.transaction_with(ATTEMPTS, |tx| async move {
        let act = Act::begin(app, db, context)?;
        if let Some(id) = act.earlier(&tx, replay).await? {
            return comments::find(&tx, id).await?.ok_or(CrmError::NotFound(Thing::Ticket));
        }
        exists::<Tickets>(&tx, Some(ticket_id)).await?;
        let comment = act.stored(TicketComment { ticket_id, author_id: act.by, body: body.to_owned() });
        comments::insert(&tx, &comment).await?;
        act.created(&tx, &comment).await?;
        act.remember(&tx, replay, comment.uuid()).await?;
        Ok(comment)
    })
    .await
}

/// A page of a ticket's comments and one more, oldest entry first.
pub(crate) async fn list_comments(
    db: &TenantDb<'_>,
    ticket: TicketId,
    page: &Page,
) -> Result<Vec<Stored<TicketComment>>, CrmError> {
    let connection = db.read().await?;
    exists::<Tickets>(&connection, Some(ticket)).await?;
    Ok(comments::page(&connection, ticket, page.after, page.size + 1).await?)
}

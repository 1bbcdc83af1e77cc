//! Tickets: who made them, who looks after them, how far they are, and what is said about them.

use tenantry_api::crm::v1::{
    AddTicketCommentRequest, CreateTicketCategoryRequest, CreateTicketRequest, Date, DeleteTicketCategoryRequest,
    DeleteTicketRequest, GetTicketRequest, ListTicketCategoriesRequest, ListTicketCommentsRequest, ListTicketsRequest,
    Ticket, TicketCategory, TicketStatus, UpdateTicketRequest,
};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Member, Owner};
use tenantry_testkit::sandbox::Sandbox;

use super::devices::Maker;
use crate::support::{fields, per_engine, reason};

per_engine!(
    a_ticket_goes_from_open_to_closed_and_back,
    tickets_are_listed_by_whose_and_when,
    comments_are_written_once_and_read_in_order,
    categories_have_names_colours_and_tickets,
);

pub(crate) async fn category(sandbox: &Sandbox, owner: &Owner, name: &str) -> anyhow::Result<TicketCategory> {
    let category = TicketCategory { name: name.into(), colour: "#2E7D32".into(), ..Default::default() };
    let request = CreateTicketCategoryRequest { ticket_category: Some(category), ..Default::default() };
    let mut categories = sandbox.clients().ticket_categories()?;
    Ok(categories.create_ticket_category(owner.request(request)).await?.into_inner())
}

pub(crate) async fn open(sandbox: &Sandbox, by: &impl Actor, ticket: Ticket) -> anyhow::Result<Ticket> {
    let request = CreateTicketRequest { ticket: Some(ticket), ..Default::default() };
    Ok(sandbox.clients().tickets()?.create_ticket(by.request(request)).await?.into_inner())
}

pub(crate) fn about(category: &TicketCategory, title: &str) -> Ticket {
    Ticket { category_id: category.id.clone(), title: title.into(), ..Default::default() }
}

async fn a_ticket_goes_from_open_to_closed_and_back(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Tickets").await?;
    let member = Member::invited_by(sandbox, &owner, "member").await?;
    let mut tickets = sandbox.clients().tickets()?;
    let repairs = category(sandbox, &owner, "Repairs").await?;
    let person_id = Maker::new(sandbox, &owner).person("Ada").await?;
    let asked = Ticket {
        person_id,
        description: "First line\r\nsecond: O'Brien \"電\"\t;--".into(),
        assignee_id: member.user_id.clone(),
        due_date: Some(Date { year: 2030, month: 2, day: 28 }),
        creator_id: "ignored".into(),
        ..about(&repairs, "Broken")
    };
    let ticket = open(sandbox, &member, asked.clone()).await?;
    assert_eq!((ticket.status(), &ticket.creator_id), (TicketStatus::Open, &member.user_id));
    assert_eq!(ticket.description, "First line\nsecond: O'Brien \"電\"\t;--");
    assert_eq!((&ticket.assignee_id, &ticket.due_date), (&asked.assignee_id, &asked.due_date));

    let to = |status: TicketStatus| UpdateTicketRequest {
        ticket: Some(Ticket { id: ticket.id.clone(), status: status.into(), ..Default::default() }),
        update_mask: None,
    };
    let closed = tickets.update_ticket(owner.request(to(TicketStatus::Closed))).await?.into_inner();
    assert!(closed.close_time.is_some());
    let still = tickets.update_ticket(owner.request(to(TicketStatus::Closed))).await?.into_inner();
    assert_eq!(still.close_time, closed.close_time);
    let waiting = tickets.update_ticket(owner.request(to(TicketStatus::Waiting))).await?.into_inner();
    assert_eq!((waiting.close_time, waiting.creator_id), (None, member.user_id));
    let nobody = UpdateTicketRequest {
        ticket: Some(Ticket { id: ticket.id.clone(), ..Default::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["assignee_id".into(), "due_date".into()] }),
    };
    let free = tickets.update_ticket(owner.request(nobody)).await?.into_inner();
    assert_eq!((&*free.assignee_id, free.due_date, free.status()), ("", None, TicketStatus::Waiting));

    let wrong = Ticket {
        status: 9,
        person_id: "x".into(),
        due_date: Some(Date { year: 2030, month: 2, day: 29 }),
        description: "a\0b".into(),
        ..Ticket::default()
    };
    let wrong = CreateTicketRequest { ticket: Some(wrong), ..Default::default() };
    let broken = fields(tickets.create_ticket(owner.request(wrong)).await);
    let expected = ["status", "due_date", "category_id", "person_id", "title", "description"];
    assert_eq!(broken, expected.map(|field| format!("ticket.{field}")));
    let nowhere = Ticket { category_id: uuid::Uuid::now_v7().to_string(), ..about(&repairs, "x") };
    let nowhere = CreateTicketRequest { ticket: Some(nowhere), ..Default::default() };
    let missing = tickets.create_ticket(owner.request(nowhere)).await;
    assert_eq!(reason(missing), Some(Reason::TicketCategoryNotFound));

    let delete = DeleteTicketRequest { id: ticket.id.clone(), etag: ticket.etag };
    assert_eq!(reason(tickets.delete_ticket(owner.request(delete.clone())).await), Some(Reason::EtagMismatch));
    tickets.delete_ticket(owner.request(DeleteTicketRequest { etag: free.etag, ..delete })).await?;
    let gone = tickets.get_ticket(owner.request(GetTicketRequest { id: ticket.id })).await;
    assert_eq!(reason(gone), Some(Reason::TicketNotFound));
    Ok(())
}

async fn tickets_are_listed_by_whose_and_when(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Lists").await?;
    let member = Member::invited_by(sandbox, &owner, "member").await?;
    let mut tickets = sandbox.clients().tickets()?;
    let (one, two) = (category(sandbox, &owner, "One").await?, category(sandbox, &owner, "Two").await?);
    let due = |day| Some(Date { year: 2030, month: 1, day });
    let assignee_id = member.user_id.clone();
    open(sandbox, &owner, Ticket { assignee_id, due_date: due(1), ..about(&one, "a") }).await?;
    open(sandbox, &member, Ticket { due_date: due(2), ..about(&two, "b") }).await?;
    open(sandbox, &member, Ticket { status: TicketStatus::Closed.into(), ..about(&one, "c") }).await?;
    let base = ListTicketsRequest { page_size: 1, ..Default::default() };
    for (request, expected) in [
        (base.clone(), "abc"),
        (ListTicketsRequest { status: TicketStatus::Open.into(), ..base.clone() }, "ab"),
        (ListTicketsRequest { category_id: one.id, ..base.clone() }, "ac"),
        (ListTicketsRequest { assignee_id: member.user_id.clone(), ..base.clone() }, "a"),
        (ListTicketsRequest { creator_id: member.user_id, ..base.clone() }, "bc"),
        (ListTicketsRequest { due_before: due(2), ..base.clone() }, "a"),
    ] {
        let (mut titles, mut request) = (String::new(), request);
        loop {
            let page = tickets.list_tickets(owner.request(request.clone())).await?.into_inner();
            titles.extend(page.tickets.iter().map(|ticket| ticket.title.as_str()));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        assert_eq!(titles, expected, "{request:?}");
    }
    Ok(())
}

async fn comments_are_written_once_and_read_in_order(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Comments").await?;
    let viewer = Member::invited_by(sandbox, &owner, "viewer").await?;
    let mut tickets = sandbox.clients().tickets()?;
    let ticket = open(sandbox, &owner, about(&category(sandbox, &owner, "One").await?, "a")).await?;
    let write = |body: &str, request_id: &str| AddTicketCommentRequest {
        ticket_id: ticket.id.clone(),
        body: body.into(),
        request_id: request_id.into(),
    };
    let once = uuid::Uuid::now_v7().to_string();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (mut tickets, request) = (tickets.clone(), owner.request(write("first", &once)));
        calls.spawn(async move { tickets.add_ticket_comment(request).await });
    }
    while let Some(call) = calls.join_next().await {
        assert_eq!(call??.into_inner().body, "first");
    }
    let reused = tickets.add_ticket_comment(owner.request(write("other", &once))).await;
    assert_eq!(reason(reused), Some(Reason::RequestIdReused));
    let second = tickets.add_ticket_comment(owner.request(write("second\nline", ""))).await?.into_inner();
    let list = ListTicketCommentsRequest { ticket_id: ticket.id.clone(), ..Default::default() };
    let read = tickets.list_ticket_comments(viewer.request(list.clone())).await?.into_inner().comments;
    assert_eq!(read.iter().map(|comment| &*comment.body).collect::<Vec<_>>(), ["first", "second\nline"]);
    assert_eq!(read[1], second);
    assert_eq!(fields(tickets.add_ticket_comment(owner.request(write(" \n ", ""))).await), ["body"]);
    let unheard = tickets.add_ticket_comment(viewer.request(write("no", ""))).await;
    assert_eq!(reason(unheard), Some(Reason::ScopeMissing));

    let delete = DeleteTicketRequest { id: ticket.id.clone(), etag: String::new() };
    tickets.delete_ticket(owner.request(delete)).await?;
    assert_eq!(reason(tickets.list_ticket_comments(owner.request(list)).await), Some(Reason::TicketNotFound));
    Ok(())
}

async fn categories_have_names_colours_and_tickets(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Categories").await?;
    let mut categories = sandbox.clients().ticket_categories()?;
    let made = category(sandbox, &owner, "Mine").await?;
    assert_eq!(made.colour, "#2e7d32");
    let all = ListTicketCategoriesRequest::default();
    let all = categories.list_ticket_categories(owner.request(all)).await?.into_inner().ticket_categories;
    assert_eq!(all.len(), 6, "those that every company begins with, and ours");
    let again = CreateTicketCategoryRequest {
        ticket_category: Some(TicketCategory { id: String::new(), ..made.clone() }),
        ..Default::default()
    };
    assert_eq!(reason(categories.create_ticket_category(owner.request(again)).await), Some(Reason::NameTaken));
    let wrong = TicketCategory { name: "x".repeat(101), colour: "green".into(), ..Default::default() };
    let wrong = CreateTicketCategoryRequest { ticket_category: Some(wrong), ..Default::default() };
    let broken = fields(categories.create_ticket_category(owner.request(wrong)).await);
    assert_eq!(broken, ["ticket_category.name", "ticket_category.colour"]);
    open(sandbox, &owner, about(&made, "a")).await?;
    let delete = DeleteTicketCategoryRequest { id: made.id, etag: String::new() };
    assert_eq!(reason(categories.delete_ticket_category(owner.request(delete)).await), Some(Reason::InUse));
    Ok(())
}

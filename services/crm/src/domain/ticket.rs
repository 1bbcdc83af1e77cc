use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::entity::prelude::*;
use serde::Serialize;
use tenantry_ids::{DeviceId, PersonId, PrincipalId, TicketCategoryId, TicketCommentId, TicketId, UserId};

use super::content::{Content, Thing, writable};

/// How far a ticket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
#[serde(rename_all = "snake_case")]
pub(crate) enum TicketStatus {
    #[sea_orm(string_value = "open")]
    Open,
    #[sea_orm(string_value = "waiting")]
    Waiting,
    #[sea_orm(string_value = "closed")]
    Closed,
}

writable! {
    /// What somebody has to look after.
    Ticket [creator_id: PrincipalId, closed_at: Option<DateTime<Utc>>] {
        category_id: TicketCategoryId,
        person_id: Option<PersonId>,
        device_id: Option<DeviceId>,
        title: String,
        description: Option<String>,
        status: TicketStatus,
        assignee_id: Option<UserId>,
        due_date: Option<NaiveDate>,
    }
}

impl Content for Ticket {
    type Id = TicketId;
    const THING: Thing = Thing::Ticket;
}

impl Ticket {
    /// With the time of its closing: that of the first, until it is opened again.
    pub(crate) fn stamped(self, now: DateTime<Utc>) -> Self {
        let closed_at = (self.status == TicketStatus::Closed).then(|| self.closed_at.unwrap_or(now));
        Self { closed_at, ..self }
    }
}

/// What somebody wrote to a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct TicketComment {
    pub(crate) ticket_id: TicketId,
    pub(crate) author_id: PrincipalId,
    pub(crate) body: String,
}

impl Content for TicketComment {
    type Id = TicketCommentId;
    const THING: Thing = Thing::TicketComment;
}

writable! {
    /// What tickets are about.
    TicketCategory {
        name: String,
        /// `#` and six hexadecimal digits.
        colour: String,
    }
}

impl Content for TicketCategory {
    type Id = TicketCategoryId;
    const THING: Thing = Thing::TicketCategory;
}

/// `#` and six hexadecimal digits, in lower case.
pub(crate) fn colour(text: &str) -> Result<String, &'static str> {
    let digits = text.strip_prefix('#').unwrap_or_default();
    let fits = digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if fits { Ok(text.to_ascii_lowercase()) } else { Err("must be # and six hexadecimal digits, such as #2e7d32") }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn colours_are_six_digits() {
        assert_eq!(colour("#2E7D32").as_deref(), Ok("#2e7d32"));
        assert!(["", "#", "2e7d32", "#2e7d3", "#2e7d322", "#2e7d3g", "red"].iter().all(|text| colour(text).is_err()));
    }

    #[test]
    fn a_ticket_keeps_the_time_of_its_closing_until_it_is_opened() {
        let ticket = |status, closed_at| Ticket {
            creator_id: PrincipalId(Uuid::nil()),
            closed_at,
            category_id: TicketCategoryId(Uuid::nil()),
            person_id: None,
            device_id: None,
            title: "t".into(),
            description: None,
            status,
            assignee_id: None,
            due_date: None,
        };
        let (then, now) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH + chrono::Duration::hours(1));
        assert_eq!(ticket(TicketStatus::Closed, None).stamped(now).closed_at, Some(now));
        assert_eq!(ticket(TicketStatus::Closed, Some(then)).stamped(now).closed_at, Some(then));
        assert_eq!(ticket(TicketStatus::Waiting, Some(then)).stamped(now).closed_at, None);
    }
}

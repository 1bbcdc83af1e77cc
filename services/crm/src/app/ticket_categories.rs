use sea_orm::Condition;
use tenantry_tenancy::TenantConnection;

use super::{Act, CrmError, Standard};
use crate::domain::{Stored, Thing, TicketCategory};
use crate::store::table::any;
use crate::store::ticket_categories::{self, TicketCategories};
use crate::store::tickets::{self, Tickets};

impl Standard for TicketCategories {
    type Filter = Condition;

    async fn check(
        _: &Act<'_>,
        tx: &impl TenantConnection,
        category: &TicketCategory,
        before: Option<&Stored<TicketCategory>>,
    ) -> Result<(), CrmError> {
        match ticket_categories::is_taken(tx, &category.name, before.map(|before| before.id)).await? {
            true => Err(CrmError::NameTaken(Thing::TicketCategory)),
            false => Ok(()),
        }
    }

    async fn remove(
        act: &Act<'_>,
        tx: &impl TenantConnection,
        before: &Stored<TicketCategory>,
    ) -> Result<(), CrmError> {
        if any::<Tickets>(tx, tickets::of_category(before.id)).await? {
            return Err(CrmError::InUse { thing: Thing::TicketCategory, by: "tickets of it" });
        }
        act.delete::<TicketCategories>(tx, before).await
    }
}

use tenantry_tenancy::TenantConnection;

use super::standard::misfit;
use super::{Act, CrmError, Standard};
use crate::domain::{Place, Stored, Thing};
use crate::store::places::{self, PlaceFilter, Places};
use crate::store::table;

impl Standard for Places {
    type Filter = PlaceFilter;

    async fn check(
        _: &Act<'_>,
        tx: &impl TenantConnection,
        place: &Place,
        before: Option<&Stored<Place>>,
    ) -> Result<(), CrmError> {
        let parent = match place.parent_id {
            Some(id) => Some(table::find::<Places>(tx, id).await?.ok_or(CrmError::NotFound(Thing::Place))?),
            None => None,
        };
        if let Some((field, description)) = place.misfit(parent.as_ref()) {
            return Err(misfit(field, description));
        }
        match places::is_taken(tx, place, before.map(|before| before.id)).await? {
            true => Err(CrmError::NameTaken(Thing::Place)),
            false => Ok(()),
        }
    }

    async fn remove(act: &Act<'_>, tx: &impl TenantConnection, before: &Stored<Place>) -> Result<(), CrmError> {
        match places::content(tx, before.id).await? {
            Some(by) => Err(CrmError::InUse { thing: Thing::Place, by }),
            None => act.delete::<Places>(tx, before).await,
        }
    }
}

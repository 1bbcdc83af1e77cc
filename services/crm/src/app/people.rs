use sea_orm::Condition;
use tenantry_tenancy::TenantConnection;

use super::standard::misfit;
use super::{Act, CrmError, Standard};
use crate::domain::Profile;
use crate::store::people::{self, People, Person};

impl Standard for People {
    type Filter = Condition;

    async fn check(
        act: &Act<'_>,
        _: &impl TenantConnection,
        profile: &Profile,
        _: Option<&Person>,
    ) -> Result<(), CrmError> {
        match profile.is_born(act.now.date_naive()) {
            true => Ok(()),
            false => Err(misfit("person.birth_date", "must not be in the future")),
        }
    }

    async fn add(act: &Act<'_>, tx: &impl TenantConnection, profile: Profile) -> Result<Person, CrmError> {
        let person = act.stored(profile);
        people::insert(tx, &person, act.user).await?;
        act.created(tx, &person).await?;
        Ok(person)
    }

    async fn remove(act: &Act<'_>, tx: &impl TenantConnection, before: &Person) -> Result<(), CrmError> {
        act.delete::<People>(tx, before).await
    }
}

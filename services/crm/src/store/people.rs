//! People.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use tenantry_ids::{PersonId, UserId};
use tenantry_tenancy::TenantConnection;

use super::table::{Table, table};
use crate::domain::{PersonKind, Profile, Stored};

pub(crate) use row::Entity as People;

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "people")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: PersonId,
        pub(crate) kind: PersonKind,
        pub title: Option<String>,
        pub name: String,
        pub surname: String,
        pub birth_date: Option<NaiveDate>,
        pub gender: Option<String>,
        pub education: Option<String>,
        pub nationality: Option<String>,
        pub labels: Json,
        pub revision: i64,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
        pub created_by: Option<UserId>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A person as stored.
pub(crate) type Person = Stored<Profile>;

table!(row, Profile, columns: columns, read: read);

fn read(row: row::Model) -> Profile {
    let labels: BTreeMap<String, String> = serde_json::from_value(row.labels).unwrap_or_default();
    Profile {
        kind: row.kind,
        title: row.title.unwrap_or_default(),
        name: row.name,
        surname: row.surname,
        birth_date: row.birth_date,
        gender: row.gender.unwrap_or_default(),
        education: row.education.unwrap_or_default(),
        nationality: row.nationality.unwrap_or_default(),
        labels,
    }
}

fn columns(profile: &Profile) -> row::ActiveModel {
    let optional = |text: &str| Set((!text.is_empty()).then(|| text.to_owned()));
    row::ActiveModel {
        kind: Set(profile.kind),
        title: optional(&profile.title),
        name: Set(profile.name.clone()),
        surname: Set(profile.surname.clone()),
        birth_date: Set(profile.birth_date),
        gender: optional(&profile.gender),
        education: optional(&profile.education),
        nationality: optional(&profile.nationality),
        labels: Set(serde_json::json!(profile.labels)),
        ..Default::default()
    }
}

pub(crate) async fn insert(db: &impl TenantConnection, person: &Person, by: UserId) -> Result<(), DbErr> {
    let row = row::ActiveModel { created_by: Set(Some(by)), ..columns(&person.content) };
    People::insert(People::stamped(row, person)).exec_without_returning(db).await.map(drop)
}

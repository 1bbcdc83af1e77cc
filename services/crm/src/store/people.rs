//! People.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, QueryOrder, QuerySelect};
use tenantry_ids::{PersonId, UserId};
use tenantry_tenancy::TenantConnection;
use uuid::Uuid;

use crate::domain::{PersonKind, Profile};

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) id: PersonId,
    pub(crate) profile: Profile,
    pub(crate) revision: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

impl From<row::Model> for Person {
    fn from(row: row::Model) -> Self {
        let labels: BTreeMap<String, String> = serde_json::from_value(row.labels).unwrap_or_default();
        let profile = Profile {
            kind: row.kind,
            title: row.title.unwrap_or_default(),
            name: row.name,
            surname: row.surname,
            birth_date: row.birth_date,
            gender: row.gender.unwrap_or_default(),
            education: row.education.unwrap_or_default(),
            nationality: row.nationality.unwrap_or_default(),
            labels,
        };
        Self { id: row.id, profile, revision: row.revision, created_at: row.created_at, updated_at: row.updated_at }
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

pub(crate) async fn insert(db: &impl TenantConnection, person: &Person, by: Option<UserId>) -> Result<(), DbErr> {
    let row = row::ActiveModel {
        id: Set(person.id),
        revision: Set(person.revision),
        created_at: Set(person.created_at),
        updated_at: Set(person.updated_at),
        created_by: Set(by),
        ..columns(&person.profile)
    };
    row::Entity::insert(row).exec_without_returning(db).await.map(drop)
}

pub(crate) async fn find(db: &impl TenantConnection, id: PersonId) -> Result<Option<Person>, DbErr> {
    Ok(row::Entity::find_by_id(id).one(db).await?.map(Person::from))
}

/// At most `limit` people after this id, oldest entry first.
pub(crate) async fn list(db: &impl TenantConnection, after: Option<Uuid>, limit: u64) -> Result<Vec<Person>, DbErr> {
    let mut query = row::Entity::find().order_by_asc(row::Column::Id).limit(limit);
    if let Some(after) = after {
        query = query.filter(row::Column::Id.gt(PersonId(after)));
    }
    Ok(query.all(db).await?.into_iter().map(Person::from).collect())
}

/// Writes the new state of a person whose stored revision is one less; false
/// when somebody else was faster.
pub(crate) async fn update(db: &impl TenantConnection, person: &Person) -> Result<bool, DbErr> {
    let row = row::ActiveModel {
        revision: Set(person.revision),
        updated_at: Set(person.updated_at),
        ..columns(&person.profile)
    };
    let updated = row::Entity::update_many()
        .set(row)
        .filter(row::Column::Id.eq(person.id))
        .filter(row::Column::Revision.eq(person.revision - 1))
        .exec(db)
        .await?;
    Ok(updated.rows_affected == 1)
}

/// Removes a person of this revision; false when somebody else was faster.
pub(crate) async fn delete(db: &impl TenantConnection, person: &Person) -> Result<bool, DbErr> {
    let deleted = row::Entity::delete_many()
        .filter(row::Column::Id.eq(person.id))
        .filter(row::Column::Revision.eq(person.revision))
        .exec(db)
        .await?;
    Ok(deleted.rows_affected == 1)
}

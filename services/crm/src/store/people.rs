//! People.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::QuerySelect;
use sea_orm::entity::prelude::*;
use tenantry_ids::{PersonId, PrincipalId};
use tenantry_tenancy::TenantConnection;
use uuid::Uuid;

use super::table::{Table, insert_many, table};
use crate::domain::{PersonKind, Profile, Stored};

pub(crate) use row::{Column, Entity as People, Model};

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
        pub created_by: Option<PrincipalId>,
        /// 1970 where nothing was ever paid.
        pub latest_payment_at: DateTime<Utc>,
        /// What people are sorted by, as the domain derives it.
        pub name_key: String,
        /// By which rules it and the tokens were derived; 0: none yet.
        pub search_version: i32,
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

/// Adds people with what they are sorted by, and by which rules it and their tokens are derived.
pub(crate) async fn insert_all(
    db: &impl TenantConnection,
    people: &[Person],
    by: PrincipalId,
    name_key: impl Fn(&Profile) -> String + Send,
    version: i32,
) -> Result<(), DbErr> {
    let rows = people
        .iter()
        .map(|person| {
            let row = row::ActiveModel {
                created_by: Set(Some(by)),
                name_key: Set(name_key(&person.content)),
                search_version: Set(version),
                ..columns(&person.content)
            };
            People::stamped(row, person)
        })
        .collect();
    insert_many::<People>(db, rows).await
}

/// Notes when the person paid last.
pub(crate) async fn paid(db: &impl TenantConnection, id: PersonId, now: DateTime<Utc>) -> Result<(), DbErr> {
    People::update_many()
        .col_expr(Column::LatestPaymentAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::LatestPaymentAt.lt(now))
        .exec(db)
        .await
        .map(drop)
}

/// Notes what a person is sorted by, and by which rules it and the tokens were derived.
pub(crate) async fn indexed(
    db: &impl TenantConnection,
    id: PersonId,
    name_key: String,
    version: i32,
) -> Result<(), DbErr> {
    People::update_many()
        .col_expr(Column::NameKey, Expr::value(name_key))
        .col_expr(Column::SearchVersion, Expr::value(version))
        .filter(Column::Id.eq(id))
        .exec(db)
        .await
        .map(drop)
}

/// At most `limit` who have no tokens of this version of the rules.
pub(crate) async fn stale(db: &impl TenantConnection, version: i32, limit: u64) -> Result<Vec<PersonId>, DbErr> {
    let query = People::find().select_only().column(Column::Id).filter(Column::SearchVersion.lt(version)).limit(limit);
    query.into_tuple().all(db).await
}

/// Those of these ids, in any order.
pub(crate) async fn all(db: &impl TenantConnection, ids: impl Iterator<Item = Uuid>) -> Result<Vec<Person>, DbErr> {
    let ids: Vec<_> = ids.map(PersonId).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(People::find().filter(Column::Id.is_in(ids)).all(db).await?.into_iter().map(People::read).collect())
}

/// The columns, for queries that are built by hand.
pub(crate) fn name_key() -> Expr {
    Column::NameKey.into_expr()
}

pub(crate) fn id() -> Expr {
    Column::Id.into_expr()
}

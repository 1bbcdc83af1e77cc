//! The words that people are found by.

use std::collections::BTreeMap;

use sea_orm::ActiveValue::Set;
use sea_orm::DbBackend;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Alias, CaseStatement, Expr, ExprTrait, Func, Query, SelectStatement, SimpleExpr, UnionType};
use tenantry_ids::PersonId;
use tenantry_tenancy::TenantConnection;
use uuid::Uuid;

use super::people;
use super::table::insert_many;
use crate::domain::search::WHOLE;

/// The first version of the schema that has them.
pub(crate) const SINCE: &str = "m20260101_001500_person_tokens";

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "person_tokens")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub token: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub person_id: PersonId,
        pub weight: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// In place of those that a person has.
pub(crate) async fn replace(
    db: &impl TenantConnection,
    person: PersonId,
    tokens: BTreeMap<String, i32>,
) -> Result<(), DbErr> {
    row::Entity::delete_many().filter(row::Column::PersonId.eq(person)).exec(db).await?;
    insert_all(db, tokens.into_iter().map(|(token, weight)| (person, token, weight)).collect()).await
}

/// Of people who have none.
pub(crate) async fn insert_all(db: &impl TenantConnection, tokens: Vec<(PersonId, String, i32)>) -> Result<(), DbErr> {
    let row =
        |(person, token, weight)| row::ActiveModel { token: Set(token), person_id: Set(person), weight: Set(weight) };
    insert_many::<row::Entity>(db, tokens.into_iter().map(row).collect()).await
}

/// Somebody who was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) id: Uuid,
    pub(crate) score: i64,
    pub(crate) name_key: String,
}

/// At most `limit` people who have a token that begins with each of the terms: the best first, by name among equals,
/// after `after`.
pub(crate) async fn search(
    db: &impl TenantConnection,
    terms: &[String],
    after: Option<&Hit>,
    limit: u64,
) -> Result<Vec<Hit>, DbErr> {
    let Some(query) = matches(db.get_database_backend(), terms) else { return Ok(Vec::new()) };
    let (found, score) = (Alias::new("found"), Expr::col((Alias::new("found"), Alias::new("score"))));
    let (name_key, id) = (people::name_key(), people::id());
    let mut select = Query::select();
    select
        .expr_as(id.clone(), "id")
        .expr_as(score.clone(), "score")
        .expr_as(name_key.clone(), "name_key")
        .from(people::People)
        .join_subquery(
            sea_orm::JoinType::InnerJoin,
            query,
            found.clone(),
            Expr::col((found, "person_id")).eq(id.clone()),
        )
        .order_by_expr(score.clone(), sea_orm::Order::Desc)
        .order_by_expr(name_key.clone(), sea_orm::Order::Asc)
        .order_by_expr(id.clone(), sea_orm::Order::Asc)
        .limit(limit);
    if let Some(after) = after {
        let same_name = name_key.clone().eq(&*after.name_key).and(id.gt(after.id));
        let same_score = score.clone().eq(after.score).and(name_key.gt(&*after.name_key).or(same_name));
        select.and_where(score.lt(after.score).or(same_score));
    }
    let rows = db.query_all(&select).await?;
    rows.iter()
        .map(|row| {
            Ok(Hit {
                id: row.try_get("", "id")?,
                score: row.try_get("", "score")?,
                name_key: row.try_get("", "name_key")?,
            })
        })
        .collect()
}

/// Who has all the terms, with the sum of what each counts.
fn matches(backend: DbBackend, terms: &[String]) -> Option<SelectStatement> {
    let mut terms_of = terms.iter().map(|term| of_term(term));
    let mut all = terms_of.next()?;
    for other in terms_of {
        all.union(UnionType::All, other);
    }
    // A sum is a decimal on MariaDB.
    let whole = match backend {
        DbBackend::MySql => "SIGNED",
        DbBackend::Sqlite => "INTEGER",
        _ => "BIGINT",
    };
    let count = i64::try_from(terms.len()).unwrap_or(i64::MAX);
    let mut query = Query::select();
    query
        .column("person_id")
        .expr_as(Expr::from(Func::sum(Expr::col("score"))).cast_as(whole), "score")
        .from_subquery(all, "each_term")
        .group_by_col("person_id")
        .and_having(Expr::from(Func::count(Expr::col("score"))).eq(count));
    Some(query)
}

/// Who has a token that begins so, with the most that one counts.
fn of_term(term: &str) -> SelectStatement {
    let whole: SimpleExpr = CaseStatement::new().case(Expr::col("token").eq(term), WHOLE).finally(0).into();
    let mut query = Query::select();
    query
        .column("person_id")
        .expr_as(Func::max(Expr::col("weight").add(whole)), "score")
        .from(row::Entity)
        .and_where(Expr::col("token").gte(term))
        // Nothing sorts after the last character of Unicode.
        .and_where(Expr::col("token").lt(format!("{term}\u{10ffff}")))
        .group_by_col("person_id");
    query
}

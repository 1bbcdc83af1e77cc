//! Lists of people: filtered, and sorted in several ways.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Func, Query, SelectStatement, SimpleExpr, Value};
use sea_orm::{Condition, FromQueryResult, JoinType, QueryOrder, QuerySelect, QueryTrait};
use serde::{Deserialize, Serialize};
use tenantry_ids::PlaceId;
use tenantry_tenancy::TenantConnection;
use uuid::Uuid;

use super::order::Sorting;
use super::people::{Column, Model, People, Person};
use super::table::Table;
use crate::domain::{Amount, Currency, DeviceKind, PersonKind};

/// Who; `None`: whoever.
#[derive(Debug, Clone, Default)]
pub(crate) struct PersonFilter {
    pub(crate) kind: Option<PersonKind>,
    /// With an address there, or in a place there.
    pub(crate) place_id: Option<PlaceId>,
    pub(crate) device_kind: Option<DeviceKind>,
    pub(crate) currency: Option<Currency>,
    /// In the currency; who has paid nothing has paid zero.
    pub(crate) min_paid: Option<Amount>,
    pub(crate) max_paid: Option<Amount>,
    pub(crate) paid_from: Option<DateTime<Utc>>,
    pub(crate) paid_before: Option<DateTime<Utc>>,
    pub(crate) registered_from: Option<DateTime<Utc>>,
    pub(crate) registered_before: Option<DateTime<Utc>>,
}

impl From<&PersonFilter> for Condition {
    fn from(filter: &PersonFilter) -> Self {
        // Whoever has never paid has not paid before anything either.
        let ever = filter.paid_before.map(|_| Column::LatestPaymentAt.gt(DateTime::<Utc>::UNIX_EPOCH));
        Condition::all()
            .add_option(filter.kind.map(|kind| Column::Kind.eq(kind)))
            .add_option(filter.place_id.map(|place| Column::Id.in_subquery(with_address(place))))
            .add_option(filter.device_kind.map(|kind| Column::Id.in_subquery(with_device(kind))))
            .add_option(filter.currency.as_ref().and_then(|currency| paid(currency, filter.min_paid, filter.max_paid)))
            .add_option(filter.paid_from.map(|from| Column::LatestPaymentAt.gte(from)))
            .add_option(filter.paid_before.map(|before| Column::LatestPaymentAt.lt(before)))
            .add_option(ever)
            .add_option(filter.registered_from.map(|from| Column::CreatedAt.gte(from)))
            .add_option(filter.registered_before.map(|before| Column::CreatedAt.lt(before)))
    }
}

/// The place, its places and theirs: there are three levels.
fn with_address(place: PlaceId) -> SelectStatement {
    let children = Query::select().column("id").from("places").and_where(Expr::col("parent_id").eq(place)).to_owned();
    let inside = Expr::col("parent_id").eq(place).or(Expr::col("parent_id").in_subquery(children));
    let places = Query::select().column("id").from("places").and_where(inside).to_owned();
    let there = Expr::col("place_id").eq(place).or(Expr::col("place_id").in_subquery(places));
    Query::select().column("person_id").from("addresses").and_where(there).to_owned()
}

fn with_device(kind: DeviceKind) -> SelectStatement {
    let owned = Expr::col("person_id").is_not_null();
    let kind = Expr::col("kind").eq(sea_orm::ActiveEnum::to_value(&kind));
    Query::select().column("person_id").from("devices").and_where(kind).and_where(owned).to_owned()
}

/// Who has paid within the range: those in it, and where zero is in it all but those outside.
fn paid(currency: &Currency, min: Option<Amount>, max: Option<Amount>) -> Option<SimpleExpr> {
    let (units, nanos) = (|| Expr::col("paid_units"), || Expr::col("paid_nanos"));
    let below = |least: Amount| units().lt(least.units()).or(units().eq(least.units()).and(nanos().lt(least.nanos())));
    let above = |most: Amount| units().gt(most.units()).or(units().eq(most.units()).and(nanos().gt(most.nanos())));
    let outside = match (min, max) {
        (None, None) => return None,
        (Some(min), None) => below(min),
        (None, Some(max)) => above(max),
        (Some(min), Some(max)) => below(min).or(above(max)),
    };
    let zero = min.is_none_or(|min| min <= Amount::ZERO) && max.is_none_or(|max| max >= Amount::ZERO);
    let accounts = |within: SimpleExpr| {
        let own = Expr::col("currency").eq(currency.as_str());
        Query::select().column("person_id").from("accounts").and_where(own).and_where(within).to_owned()
    };
    Some(match zero {
        true => Column::Id.not_in_subquery(accounts(outside)),
        false => Column::Id.in_subquery(accounts(outside.not())),
    })
}

/// What people are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PersonOrder {
    CreateTime,
    Name,
    LatestPayment,
    /// In the filter's currency.
    TotalPaid,
}

/// Where a page begins: after the row of these keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum PersonKey {
    Time(DateTime<Utc>),
    Name(String),
    Paid(i64, i32),
}

/// At most `limit`, sorted, after the row of this key and id.
pub(crate) async fn page(
    db: &impl TenantConnection,
    filter: &PersonFilter,
    (order, descending): (PersonOrder, bool),
    after: Option<(PersonKey, Uuid)>,
    limit: u64,
) -> Result<Vec<(Person, PersonKey)>, DbErr> {
    let part = |name| -> SimpleExpr {
        Func::coalesce([Expr::col((Alias::new("paying"), Alias::new(name))), Expr::val(0)]).into()
    };
    let mut columns = match order {
        PersonOrder::CreateTime => vec![Column::CreatedAt.into_expr()],
        PersonOrder::Name => vec![Column::NameKey.into_expr()],
        PersonOrder::LatestPayment => vec![Column::LatestPaymentAt.into_expr()],
        PersonOrder::TotalPaid => vec![part("paid_units"), part("paid_nanos")],
    };
    columns.push(Column::Id.into_expr());
    let sorting = Sorting { columns, descending };
    let mut query = People::find().filter(Condition::from(filter)).limit(limit);
    if order == PersonOrder::TotalPaid {
        query = query.expr_as(part("paid_units"), "paid_units").expr_as(part("paid_nanos"), "paid_nanos");
        let currency = filter.currency.as_ref().map(Currency::as_str).unwrap_or_default();
        let own = Expr::col((Alias::new("paying"), Alias::new("person_id")))
            .eq(Column::Id.into_expr())
            .and(Expr::col((Alias::new("paying"), Alias::new("currency"))).eq(currency));
        QueryTrait::query(&mut query).join_as(JoinType::LeftJoin, "accounts", "paying", own);
    }
    if let Some((key, id)) = after {
        let mut values: Vec<Value> = match key {
            PersonKey::Time(time) => vec![time.into()],
            PersonKey::Name(name) => vec![name.into()],
            PersonKey::Paid(units, nanos) => vec![units.into(), nanos.into()],
        };
        values.push(id.into());
        query = query.filter(sorting.beyond(values));
    }
    for column in &sorting.columns {
        query = query.order_by(column.clone(), sorting.direction());
    }
    let rows = db.query_all_raw(query.build(db.get_database_backend())).await?;
    rows.iter()
        .map(|row| {
            let model = Model::from_query_result(row, "")?;
            let key = match order {
                PersonOrder::CreateTime => PersonKey::Time(model.created_at),
                PersonOrder::Name => PersonKey::Name(model.name_key.clone()),
                PersonOrder::LatestPayment => PersonKey::Time(model.latest_payment_at),
                PersonOrder::TotalPaid => {
                    PersonKey::Paid(row.try_get("", "paid_units")?, row.try_get("", "paid_nanos")?)
                }
            };
            Ok((People::read(model), key))
        })
        .collect()
}

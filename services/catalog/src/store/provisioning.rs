//! Steps and leases.
//!
//! A lease is one row a company: whoever raises its fence holds it until it
//! expires. A free lease whose time has not come (a retry that waits) has no
//! owner and an expiry in the future.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::IntoCondition,
};
use tenantry_ids::CompanyId;
use tenantry_telemetry::propagation;

use super::entities::{company, provisioning_lease as lease, provisioning_step as step};
use super::{CentralConnection, StoreError};
use crate::domain::{State, Turn, Work};

/// The fence of a lease that nobody has held yet.
pub(crate) const NEVER_TAKEN: i64 = 0;

/// A lease that is held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) company: CompanyId,
    pub(crate) fence: i64,
}

/// A lease that was seen free.
pub(crate) struct Due {
    pub(crate) seen: Held,
    /// The span that asked for the company.
    pub(crate) trace_parent: Option<String>,
}

/// Writes the steps of a new company, and its lease, free at once.
pub(crate) async fn insert(
    db: &impl CentralConnection,
    company: CompanyId,
    turns: &[Turn],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    insert_steps(db, company, [Work::Provision, Work::AfterProvision], turns, now).await?;
    let free = lease::ActiveModel {
        company_id: Set(company),
        owner: Set(None),
        fence: Set(NEVER_TAKEN),
        // Not NULL: engines disagree on where that sorts, and the longest waiting comes first.
        expires_at: Set(Some(now)),
        trace_parent: Set(propagation::traceparent()),
    };
    lease::Entity::insert(free).exec_without_returning(db.raw()).await?;
    Ok(())
}

/// Writes the steps of a purge, to be worked on at once. What would have come after provisioning does not any more.
pub(crate) async fn insert_purge(
    db: &impl CentralConnection,
    company: CompanyId,
    turns: &[Turn],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    step::Entity::delete_many()
        .filter(step::Column::CompanyId.eq(company))
        .filter(step::Column::State.ne(step::State::Done))
        .filter(of_work(Work::AfterProvision))
        .exec(db.raw())
        .await?;
    insert_steps(db, company, [Work::Purge, Work::AfterPurge], turns, now).await?;
    free(db, company, now).await
}

/// Makes the steps that failed new ones, to be worked on at once.
pub(crate) async fn begin_anew(
    db: &impl CentralConnection,
    company: CompanyId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    step::Entity::update_many()
        .col_expr(step::Column::State, Expr::value(step::State::Pending))
        .col_expr(step::Column::Attempts, Expr::value(0))
        .col_expr(step::Column::LastError, Expr::value(None::<String>))
        .col_expr(step::Column::NextAttemptAt, Expr::value(now))
        .col_expr(step::Column::FinishedAt, Expr::value(None::<DateTime<Utc>>))
        .filter(step::Column::CompanyId.eq(company))
        .filter(step::Column::State.ne(step::State::Done))
        .exec(db.raw())
        .await?;
    free(db, company, now).await
}

async fn insert_steps(
    db: &impl CentralConnection,
    company: CompanyId,
    works: [Work; 2],
    turns: &[Turn],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let steps = works.into_iter().flat_map(|work| work.steps(turns).into_iter().zip(work.first_position()..));
    let rows = steps.map(|(step, position)| step::ActiveModel {
        company_id: Set(company),
        position: Set(position),
        name: Set(step.name()),
        state: Set(step::State::Pending),
        attempts: Set(0),
        last_error: Set(None),
        next_attempt_at: Set(now),
        started_at: Set(None),
        finished_at: Set(None),
    });
    step::Entity::insert_many(rows).exec_without_returning(db.raw()).await?;
    Ok(())
}

/// Until when somebody has these companies' steps, or when they are due.
pub(crate) async fn leases_of(
    db: &impl CentralConnection,
    companies: impl Iterator<Item = CompanyId>,
) -> Result<HashMap<CompanyId, DateTime<Utc>>, StoreError> {
    let companies: Vec<_> = companies.collect();
    if companies.is_empty() {
        return Ok(HashMap::new());
    }
    let query = lease::Entity::find().filter(lease::Column::CompanyId.is_in(companies));
    Ok(query.all(db.raw()).await?.into_iter().filter_map(|row| Some((row.company_id, row.expires_at?))).collect())
}

/// Makes a lease free at once. Its fence is raised, so that whoever thinks to hold it has lost it.
async fn free(db: &impl CentralConnection, company: CompanyId, now: DateTime<Utc>) -> Result<(), StoreError> {
    lease::Entity::update_many()
        .col_expr(lease::Column::Owner, Expr::value(None::<String>))
        .col_expr(lease::Column::Fence, Expr::col(lease::Column::Fence).add(1))
        .col_expr(lease::Column::ExpiresAt, Expr::value(now))
        .col_expr(lease::Column::TraceParent, Expr::value(propagation::traceparent()))
        .filter(lease::Column::CompanyId.eq(company))
        .exec(db.raw())
        .await?;
    Ok(())
}

pub(crate) async fn steps(db: &impl CentralConnection, company: CompanyId) -> Result<Vec<step::Model>, StoreError> {
    let query = step::Entity::find().filter(step::Column::CompanyId.eq(company)).order_by_asc(step::Column::Position);
    Ok(query.all(db.raw()).await?)
}

/// Leases of companies that wait for what has to be done, longest waiting first.
pub(crate) async fn due(db: &impl CentralConnection, now: DateTime<Utc>, limit: u64) -> Result<Vec<Due>, StoreError> {
    let purging = Condition::all()
        .add(company::Column::State.eq(company::State::Deleted))
        .add(company::Column::PurgeBegunAt.is_not_null());
    let at_work = Condition::any().add(company::Column::State.eq(company::State::Provisioning)).add(purging);
    let companies = company::Entity::find().select_only().column(company::Column::Id).filter(at_work);
    free_of(db, lease::Column::CompanyId.in_subquery(companies.into_query()).into_condition(), now, limit).await
}

/// As [`due`], of companies with something to do that nobody waits for.
pub(crate) async fn due_in_background(
    db: &impl CentralConnection,
    now: DateTime<Utc>,
    limit: u64,
) -> Result<Vec<Due>, StoreError> {
    let of = |work: Work, states: &[State]| {
        // From the steps that are not done, which are few.
        let waiting = step::Entity::find()
            .select_only()
            .column(step::Column::CompanyId)
            .filter(step::Column::State.is_in([step::State::Pending, step::State::Running]))
            .filter(of_work(work));
        let companies = company::Entity::find()
            .select_only()
            .column(company::Column::Id)
            .filter(company::Column::Id.in_subquery(waiting.into_query()))
            .filter(company::Column::State.is_in(states.iter().copied()));
        lease::Column::CompanyId.in_subquery(companies.into_query())
    };
    let in_service = of(Work::AfterProvision, &[State::Active, State::Suspended, State::Maintenance]);
    let gone = of(Work::AfterPurge, &[State::Purged]);
    free_of(db, Condition::any().add(in_service).add(gone), now, limit).await
}

/// Those of these leases that are free.
async fn free_of(
    db: &impl CentralConnection,
    which: Condition,
    now: DateTime<Utc>,
    limit: u64,
) -> Result<Vec<Due>, StoreError> {
    let query = lease::Entity::find().filter(is_free(now)).filter(which);
    let rows = query.order_by_asc(lease::Column::ExpiresAt).limit(limit).all(db.raw()).await?;
    let due = |row: lease::Model| Due {
        seen: Held { company: row.company_id, fence: row.fence },
        trace_parent: row.trace_parent,
    };
    Ok(rows.into_iter().map(due).collect())
}

/// Takes a lease that was seen free; `None` when somebody else was faster.
pub(crate) async fn acquire(
    db: &impl CentralConnection,
    seen: Held,
    owner: &str,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Option<Held>, StoreError> {
    let taken = lease::Entity::update_many()
        .col_expr(lease::Column::Owner, Expr::value(owner))
        .col_expr(lease::Column::Fence, Expr::value(seen.fence + 1))
        .col_expr(lease::Column::ExpiresAt, Expr::value(until))
        .filter(lease::Column::CompanyId.eq(seen.company))
        .filter(lease::Column::Fence.eq(seen.fence))
        .filter(is_free(now))
        .exec(db.raw())
        .await?;
    Ok((taken.rows_affected == 1).then_some(Held { fence: seen.fence + 1, ..seen }))
}

/// Holds a lease longer; false when it was lost.
pub(crate) async fn extend(db: &impl CentralConnection, held: Held, until: DateTime<Utc>) -> Result<bool, StoreError> {
    let kept = lease::Entity::update_many()
        .col_expr(lease::Column::ExpiresAt, Expr::value(until))
        .filter(lease::Column::CompanyId.eq(held.company))
        .filter(lease::Column::Fence.eq(held.fence))
        .exec(db.raw())
        .await?;
    Ok(kept.rows_affected == 1)
}

/// Gives a lease back, not to be taken before `not_before`; false when it was lost.
pub(crate) async fn release(
    db: &impl CentralConnection,
    held: Held,
    not_before: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let given = lease::Entity::update_many()
        .col_expr(lease::Column::Owner, Expr::value(None::<String>))
        .col_expr(lease::Column::ExpiresAt, Expr::value(not_before))
        .filter(lease::Column::CompanyId.eq(held.company))
        .filter(lease::Column::Fence.eq(held.fence))
        .exec(db.raw())
        .await?;
    Ok(given.rows_affected == 1)
}

fn of_work(work: Work) -> Condition {
    let until = work.next().map_or(i32::MAX, Work::first_position);
    step::Column::Position.gte(work.first_position()).and(step::Column::Position.lt(until)).into_condition()
}

fn is_free(now: DateTime<Utc>) -> Condition {
    Condition::any().add(lease::Column::ExpiresAt.is_null()).add(lease::Column::ExpiresAt.lte(now))
}

/// Notes that a step begins.
pub(crate) async fn begin_step(
    db: &impl CentralConnection,
    row: &step::Model,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    update_step(row, step::State::Running)
        .col_expr(step::Column::LastError, Expr::value(None::<String>))
        .col_expr(step::Column::Attempts, Expr::col(step::Column::Attempts).add(1))
        .col_expr(step::Column::StartedAt, Expr::value(now))
        .exec(db.raw())
        .await?;
    Ok(())
}

/// Notes that a step is done.
pub(crate) async fn finish_step(
    db: &impl CentralConnection,
    row: &step::Model,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    update_step(row, step::State::Done)
        .col_expr(step::Column::LastError, Expr::value(None::<String>))
        .col_expr(step::Column::FinishedAt, Expr::value(now))
        .exec(db.raw())
        .await?;
    Ok(())
}

/// Notes that a step failed, and whether and when it is tried again.
pub(crate) async fn fail_step(
    db: &impl CentralConnection,
    row: &step::Model,
    error: &str,
    again_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let state = if again_at.is_some() { step::State::Pending } else { step::State::Failed };
    update_step(row, state)
        .col_expr(step::Column::LastError, Expr::value(error))
        .col_expr(step::Column::NextAttemptAt, Expr::value(again_at.unwrap_or(now)))
        .col_expr(step::Column::FinishedAt, Expr::value(again_at.is_none().then_some(now)))
        .exec(db.raw())
        .await?;
    Ok(())
}

fn update_step(row: &step::Model, state: step::State) -> sea_orm::UpdateMany<step::Entity> {
    step::Entity::update_many()
        .col_expr(step::Column::State, Expr::value(state))
        .filter(step::Column::CompanyId.eq(row.company_id))
        .filter(step::Column::Position.eq(row.position))
}

//! Leases on targets. Exact over all replicas, because whoever claims has the rollout's row locked.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};
use tenantry_ids::RolloutId;

use super::entities::target::{Column, Entity};
use super::{Rollout, StoreError, Target, TargetState, of};

/// Who takes targets, and for how long.
pub(crate) struct Lease<'a> {
    pub(crate) holder: &'a str,
    pub(crate) until: DateTime<Utc>,
}

/// How many more may run, in all and on each server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Capacity {
    all: usize,
    per_server: usize,
    running: HashMap<String, usize>,
}

impl Capacity {
    pub(crate) fn new(parallelism: i32, per_server: i32, running: HashMap<String, usize>) -> Self {
        let positive = |limit: i32| usize::try_from(limit).unwrap_or(0);
        let busy: usize = running.values().sum();
        Self { all: positive(parallelism).saturating_sub(busy), per_server: positive(per_server), running }
    }

    fn full_servers(&self) -> Vec<&str> {
        let full = self.running.iter().filter(|(_, running)| **running >= self.per_server);
        full.map(|(server, _)| server.as_str()).collect()
    }

    /// Takes room for one target there, if there is some.
    pub(crate) fn take(&mut self, server: &str) -> bool {
        let running = self.running.entry(server.to_owned()).or_default();
        if self.all == 0 || *running >= self.per_server {
            return false;
        }
        self.all -= 1;
        *running += 1;
        true
    }
}

/// A target that somebody works on, or whose holder is gone.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub(crate) struct Held {
    pub(crate) position: i32,
    pub(crate) fence: i64,
    server: String,
    lease_until: Option<DateTime<Utc>>,
}

impl Held {
    fn is_lost(&self, now: DateTime<Utc>) -> bool {
        self.lease_until.is_none_or(|until| until < now)
    }
}

/// What is under way, as long as the rollout stays locked.
pub(crate) async fn held(tx: &impl ConnectionTrait, id: RolloutId) -> Result<Vec<Held>, StoreError> {
    let columns = [Column::Position, Column::Fence, Column::Server, Column::LeaseUntil];
    let query = of(id).select_only().columns(columns).filter(Column::State.eq(TargetState::Running));
    Ok(query.into_model().all(tx).await?)
}

/// Takes as many targets as there is room for beside those that are held: first those whose holder is gone.
pub(crate) async fn claim(
    tx: &impl ConnectionTrait,
    rollout: &Rollout,
    held: &[Held],
    lease: &Lease<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<Target>, StoreError> {
    let (lost, running): (Vec<_>, Vec<_>) = held.iter().partition(|held| held.is_lost(now));
    let mut capacity = Capacity::new(rollout.parallelism, rollout.parallelism_per_server, by_server(&running));
    if capacity.all == 0 {
        return Ok(Vec::new());
    }
    let lost = (!lost.is_empty())
        .then(|| of(rollout.id).filter(Column::Position.is_in(lost.iter().map(|lost| lost.position))));
    let full = capacity.full_servers();
    let due = of(rollout.id)
        .filter(Column::State.eq(TargetState::Pending))
        .filter(Column::Wave.lte(rollout.wave))
        .filter(Column::NotBefore.lte(now))
        .apply_if((!full.is_empty()).then_some(full), |due, full| due.filter(Column::Server.is_not_in(full)));
    let mut chosen = Vec::new();
    for query in lost.into_iter().chain([due]) {
        if capacity.all > 0 {
            let found = query.order_by_asc(Column::Position).limit(capacity.all as u64).all(tx).await?;
            chosen.extend(found.into_iter().filter(|target| capacity.take(&target.server)));
        }
    }
    if chosen.is_empty() {
        return Ok(chosen);
    }
    let update = Entity::update_many()
        .col_expr(Column::State, Expr::value(TargetState::Running))
        .col_expr(Column::Fence, Expr::col(Column::Fence).add(1))
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .col_expr(Column::LeaseHolder, Expr::value(lease.holder))
        .col_expr(Column::LeaseUntil, Expr::value(lease.until))
        .col_expr(Column::StartedAt, Expr::value(now))
        .filter(Column::RolloutId.eq(rollout.id))
        .filter(Column::Position.is_in(chosen.iter().map(|target| target.position)));
    update.exec(tx).await?;
    for target in &mut chosen {
        target.fence += 1;
        target.attempts += 1;
        target.started_at = Some(now);
    }
    Ok(chosen)
}

/// Targets that somebody began, whose lease has ended before `before`; at most `limit`.
pub(crate) async fn abandoned(
    db: &impl ConnectionTrait,
    before: DateTime<Utc>,
    limit: u64,
) -> Result<Vec<Target>, StoreError> {
    let query = Entity::find()
        .filter(Column::State.eq(TargetState::Running))
        .filter(Column::LeaseUntil.lt(before))
        .limit(limit);
    Ok(query.all(db).await?)
}

fn by_server(running: &[&Held]) -> HashMap<String, usize> {
    running.iter().fold(HashMap::new(), |mut servers, held| {
        *servers.entry(held.server.clone()).or_default() += 1;
        servers
    })
}

/// Keeps what this holder has.
pub(crate) async fn renew(db: &impl ConnectionTrait, id: RolloutId, lease: &Lease<'_>) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::LeaseUntil, Expr::value(lease.until))
        .filter(Column::RolloutId.eq(id))
        .filter(Column::State.eq(TargetState::Running))
        .filter(Column::LeaseHolder.eq(lease.holder))
        .exec(db)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_the_whole_nor_one_server_is_overfilled() {
        let mut capacity = Capacity::new(5, 2, HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]));
        assert_eq!(capacity.full_servers(), ["b"]);
        assert!(!capacity.take("b"));
        assert!(capacity.take("a") && !capacity.take("a"));
        assert!(capacity.take("c") && !capacity.take("d"), "five in all");
    }

    #[test]
    fn a_limit_that_was_lowered_takes_nothing_new() {
        let mut capacity = Capacity::new(2, 2, HashMap::from([("a".to_owned(), 4)]));
        assert!(!capacity.take("b"));
    }
}

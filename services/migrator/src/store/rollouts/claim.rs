//! Leases on targets. Exact over all replicas, because whoever claims has the rollout's row locked.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect};
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

/// Takes as many targets as there is room for: first those whose holder is gone.
pub(crate) async fn claim(
    tx: &impl ConnectionTrait,
    rollout: &Rollout,
    lease: &Lease<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<Target>, StoreError> {
    let running = running_by_server(tx, rollout.id, now).await?;
    let mut capacity = Capacity::new(rollout.parallelism, rollout.parallelism_per_server, running);
    if capacity.all == 0 {
        return Ok(Vec::new());
    }
    let lost = of(rollout.id).filter(Column::State.eq(TargetState::Running)).filter(Column::LeaseUntil.lt(now));
    let due = of(rollout.id)
        .filter(Column::State.eq(TargetState::Pending))
        .filter(Column::Wave.lte(rollout.wave))
        .filter(Column::NotBefore.lte(now))
        .filter(Column::Server.is_not_in(capacity.full_servers()));
    let mut chosen = Vec::new();
    for query in [lost, due] {
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

async fn running_by_server(
    tx: &impl ConnectionTrait,
    id: RolloutId,
    now: DateTime<Utc>,
) -> Result<HashMap<String, usize>, StoreError> {
    let servers: Vec<String> = of(id)
        .select_only()
        .column(Column::Server)
        .filter(Column::State.eq(TargetState::Running))
        .filter(Column::LeaseUntil.gte(now))
        .into_tuple()
        .all(tx)
        .await?;
    let mut running = HashMap::new();
    for server in servers {
        *running.entry(server).or_default() += 1;
    }
    Ok(running)
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

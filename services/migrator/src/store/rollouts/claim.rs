//! Leases on targets. Exact over all replicas, because whoever claims has the rollout's row locked.

use std::collections::{HashMap, VecDeque};

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

/// Targets that are read at once, to be taken one after the other.
const READ_AHEAD: usize = 64;

/// What one process knows of a rollout's targets. Whoever changes any of them raises the rollout's revision, so it holds
/// as long as that is the same, and need not be read again.
#[derive(Debug)]
pub(crate) struct Known {
    revision: i64,
    /// What is under way.
    pub(crate) held: Vec<Held>,
    /// Some of those that wait, in their order.
    waiting: VecDeque<Target>,
}

impl Known {
    /// Of a rollout that is locked: what `before` knows, if nobody has changed anything since.
    pub(crate) async fn of(
        tx: &impl ConnectionTrait,
        rollout: &Rollout,
        before: Option<Self>,
    ) -> Result<Self, StoreError> {
        if let Some(known) = before.filter(|known| known.revision == rollout.revision) {
            return Ok(known);
        }
        let columns = [Column::Position, Column::Fence, Column::Server, Column::LeaseUntil];
        let held = of(rollout.id).select_only().columns(columns).filter(Column::State.eq(TargetState::Running));
        let held = held.into_model().all(tx).await?;
        Ok(Self { revision: rollout.revision, held, waiting: VecDeque::new() })
    }

    /// The rollout is at this revision now, and that was this process's doing.
    pub(crate) fn is_at(&mut self, rollout: &Rollout) {
        self.revision = rollout.revision;
    }

    /// Those that wait and have room, without asking anybody.
    fn take_waiting(&mut self, capacity: &mut Capacity, chosen: &mut Vec<Target>) {
        let waiting = std::mem::take(&mut self.waiting);
        for target in waiting {
            if capacity.take(&target.server) {
                chosen.push(target);
            } else {
                self.waiting.push_back(target);
            }
        }
    }
}

/// Takes as many targets as there is room for beside those that are held: first those whose holder is gone. Whoever takes
/// some has to save the rollout, too, so that its revision tells the other replicas.
pub(crate) async fn claim(
    tx: &impl ConnectionTrait,
    rollout: &Rollout,
    known: &mut Known,
    lease: &Lease<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<Target>, StoreError> {
    let (lost, running): (Vec<_>, Vec<_>) = known.held.iter().partition(|held| held.is_lost(now));
    let mut capacity = Capacity::new(rollout.parallelism, rollout.parallelism_per_server, by_server(&running));
    if capacity.all == 0 {
        return Ok(Vec::new());
    }
    let mut chosen = Vec::new();
    if !lost.is_empty() {
        let lost = of(rollout.id).filter(Column::Position.is_in(lost.iter().map(|lost| lost.position)));
        let lost = lost.order_by_asc(Column::Position).limit(capacity.all as u64).all(tx).await?;
        chosen.extend(lost.into_iter().filter(|target| capacity.take(&target.server)));
    }
    known.take_waiting(&mut capacity, &mut chosen);
    if capacity.all > 0 {
        known.waiting = waiting(tx, rollout, &capacity, &chosen, now).await?;
        known.take_waiting(&mut capacity, &mut chosen);
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
    known.held.retain(|held| chosen.iter().all(|target| target.position != held.position));
    for target in &mut chosen {
        target.fence += 1;
        target.attempts += 1;
        target.started_at = Some(now);
        let (server, lease_until) = (target.server.clone(), Some(lease.until));
        known.held.push(Held { position: target.position, fence: target.fence, server, lease_until });
    }
    Ok(chosen)
}

/// Those that may be taken next, on servers with room, beside the ones that are chosen already.
async fn waiting(
    tx: &impl ConnectionTrait,
    rollout: &Rollout,
    capacity: &Capacity,
    chosen: &[Target],
    now: DateTime<Utc>,
) -> Result<VecDeque<Target>, StoreError> {
    let full = capacity.full_servers();
    let taken: Vec<_> = chosen.iter().map(|target| target.position).collect();
    let query = of(rollout.id)
        .filter(Column::State.eq(TargetState::Pending))
        .filter(Column::Wave.lte(rollout.wave))
        .filter(Column::NotBefore.lte(now))
        .apply_if((!full.is_empty()).then_some(full), |query, full| query.filter(Column::Server.is_not_in(full)))
        .apply_if((!taken.is_empty()).then_some(taken), |query, taken| query.filter(Column::Position.is_not_in(taken)))
        .order_by_asc(Column::Position)
        .limit(capacity.all.max(READ_AHEAD) as u64);
    Ok(query.all(tx).await?.into())
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

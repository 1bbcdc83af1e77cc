//! What operators see.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tenantry_ids::RolloutId;
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Error, Reason, Shutdown};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::find;
use crate::app::App;
use crate::app::plugins::plugin_of;
use crate::store::claims::{self, Claim};
use crate::store::drift;
use crate::store::rollouts::{self as store, Rollout, State, Target, TargetState};

/// The list of rollouts, for page tokens.
const LIST: &str = "rollouts";
/// The list of targets, for page tokens.
pub(crate) const TARGETS_LIST: &str = "rollout_targets";
/// Changes that other replicas make are seen after so long.
const WATCH_EVERY: Duration = Duration::from_millis(500);
/// Looks that the rate is measured over.
const RATE_LOOKS: usize = 10;
/// Failed databases that a fleet's status names.
const FAILED_SHOWN: u64 = 50;

/// A rollout, and what is counted rather than kept.
pub(crate) struct View {
    pub(crate) rollout: Rollout,
    pub(crate) running: i32,
    pub(crate) joined_later: i32,
}

impl View {
    pub(crate) fn of_plan(rollout: Rollout) -> Self {
        Self { rollout, running: 0, joined_later: 0 }
    }

    fn ended(&self) -> i32 {
        let rollout = &self.rollout;
        rollout.succeeded + rollout.failed
    }

    /// Targets that are still to come to their end.
    pub(crate) fn left(&self) -> i32 {
        self.rollout.total - self.ended() - self.rollout.skipped - self.rollout.cancelled
    }

    fn at_rest(&self) -> bool {
        self.rollout.state != State::Running && self.running == 0
    }
}

pub(crate) async fn view(app: &App, id: RolloutId) -> Result<View, Error> {
    view_of(app, find(app, id).await?).await
}

pub(crate) async fn view_of(app: &App, rollout: Rollout) -> Result<View, Error> {
    let running = store::count_running(app.db.raw(), rollout.id, app.now()).await?;
    let joined_later = match &rollout.target_version {
        // A plugin's tables come to a company at their newest version.
        Some(_) if plugin_of(&rollout.set_name).is_some() => 0,
        Some(version) => claims::joined_since(app.db.raw(), rollout.created_at, version).await?,
        None => 0,
    };
    Ok(View { rollout, running: small(running), joined_later: small(joined_later) })
}

fn small(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub(crate) fn parse_page(violations: &mut tenantry_rpc::Violations, size: i32, token: &str) -> Page {
    Page::parse(violations, LIST, size, token)
}

pub(crate) async fn list(app: &App, page: Page) -> Result<(Vec<View>, String), Error> {
    let mut rows = store::list(app.db.raw(), page.after, page.size + 1).await?;
    let next = page.cut(LIST, &mut rows, |rollout| rollout.id.0);
    let mut views = Vec::with_capacity(rows.len());
    for rollout in rows {
        views.push(view_of(app, rollout).await?);
    }
    Ok((views, next))
}

/// A page of targets. Its token holds the last position in the place of an id.
pub(crate) async fn targets(
    app: &App,
    id: RolloutId,
    state: Option<TargetState>,
    page: Page,
) -> Result<(Vec<Target>, String), Error> {
    find(app, id).await?;
    let after = page.after.map_or(0, |after| i32::try_from(after.as_u128()).unwrap_or(i32::MAX));
    let mut rows = store::targets(app.db.raw(), id, state, after, page.size + 1).await?;
    let position = |target: &Target| uuid::Uuid::from_u128(u128::from(target.position.unsigned_abs()));
    let next = page.cut(TARGETS_LIST, &mut rows, position);
    Ok((rows, next))
}

/// A look at a rollout under way.
pub(crate) struct Glance {
    pub(crate) view: View,
    pub(crate) per_second: f64,
    pub(crate) time_left: Option<Duration>,
    pub(crate) failures: Vec<Target>,
}

/// Looks whenever something has changed, until the rollout is at rest or nobody listens.
pub(crate) async fn watch(app: Arc<App>, id: RolloutId, shutdown: Shutdown, to: mpsc::Sender<Result<Glance, Error>>) {
    let (mut pace, mut seen) = (Pace::default(), None);
    loop {
        let glance = glance(&app, id, &mut pace).await;
        let at_rest = glance.as_ref().map_or(true, |glance| glance.view.at_rest());
        let mark = glance.as_ref().ok().map(|glance| (glance.view.rollout.revision, glance.view.running));
        if (seen.is_none() || mark != seen || at_rest) && to.send(glance).await.is_err() {
            return;
        }
        seen = mark;
        if at_rest {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH_EVERY) => {}
            () = to.closed() => return,
            () = shutdown.begun() => {
                let message = "this migrator stops; watch again";
                let error = Error::new(Reason::ShuttingDown, message).retry_after(Duration::from_secs(1));
                let _ = to.send(Err(error)).await;
                return;
            }
        }
    }
}

async fn glance(app: &App, id: RolloutId, pace: &mut Pace) -> Result<Glance, Error> {
    let view = view(app, id).await?;
    let failures = if view.rollout.failed > 0 { store::failures(app.db.raw(), id).await? } else { Vec::new() };
    let per_second = pace.note(Instant::now(), view.ended());
    let time_left = (per_second > 0.0).then(|| Duration::from_secs_f64(f64::from(view.left()) / per_second));
    Ok(Glance { view, per_second, time_left, failures })
}

/// How fast targets come to their end, over the last few looks.
#[derive(Default)]
struct Pace(VecDeque<(Instant, i32)>);

impl Pace {
    fn note(&mut self, now: Instant, ended: i32) -> f64 {
        self.0.push_back((now, ended));
        if self.0.len() > RATE_LOOKS {
            self.0.pop_front();
        }
        let Some((since, before)) = self.0.front() else { return 0.0 };
        let seconds = now.duration_since(*since).as_secs_f64();
        if seconds > 0.0 { f64::from(ended - before).max(0.0) / seconds } else { 0.0 }
    }
}

/// The fleet as recorded.
pub(crate) struct Fleet {
    pub(crate) head: String,
    /// Version, server, databases; newest version first.
    pub(crate) versions: Vec<(String, String, i64)>,
    pub(crate) failed: Vec<(Claim, Option<Target>)>,
    pub(crate) failed_total: u64,
    pub(crate) locked: u64,
    pub(crate) drifted: u64,
    pub(crate) active: Option<RolloutId>,
}

pub(crate) async fn fleet(app: &App, server: Option<&str>) -> Result<Fleet, Error> {
    let db = app.db.raw();
    let mut versions = claims::versions(db, server).await?;
    versions.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let (failed_claims, failed_total) = claims::failed(db, server, FAILED_SHOWN).await?;
    let mut failed = Vec::with_capacity(failed_claims.len());
    for claim in failed_claims {
        let target = match claim.failed_rollout {
            Some(rollout) => store::target_of(db, rollout, claim.database_id).await?,
            None => None,
        };
        failed.push((claim, target));
    }
    let active = store::active(db).await?.map(|rollout| rollout.id);
    let locked = match active {
        Some(id) => store::count_running(db, id, app.now()).await?,
        None => 0,
    };
    let head = app.tenant_set.head().unwrap_or_default().to_owned();
    let drifted = drift::drifted(&app.db, server).await?;
    Ok(Fleet { head, versions, failed, failed_total, locked, drifted, active })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_pace_is_of_the_last_looks() {
        let mut pace = Pace::default();
        assert_eq!(pace.note(Instant::now(), 0), 0.0);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(pace.note(Instant::now(), 10), 5.0);
        for _ in 0..RATE_LOOKS {
            tokio::time::advance(Duration::from_secs(1)).await;
            pace.note(Instant::now(), 10);
        }
        assert_eq!(pace.note(Instant::now(), 10), 0.0, "nothing has ended lately");
    }
}

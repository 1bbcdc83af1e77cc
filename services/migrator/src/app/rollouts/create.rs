//! Seals a rollout: its databases, their start versions, its statements' checksums.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use sea_orm::{ConnectionTrait, DbBackend};
use tenantry_idempotency::{self as idempotency, Fingerprint, IdempotencyError, Key};
use tenantry_ids::RolloutId;
use tenantry_migration::{MigrationError, MigrationSet, Plan};
use tenantry_rpc::{Context, Error, Reason};
use tenantry_telemetry::propagation;

use super::policy::{Policy, Selector};
use super::{View, find, refused, view_of};
use crate::app::plugins::plugin_of;
use crate::app::{App, fleet};
use crate::servers::{self, ServerError};
use crate::store::claims::{self, Claim};
use crate::store::plugins;
use crate::store::rollouts::{self as store, Rollout, State, Target, TargetState};

/// What an operator asks for.
pub(crate) struct NewRollout {
    pub(crate) selector: Selector,
    /// Its tables, in the databases that have them, instead of those that every company has.
    pub(crate) plugin: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) policy: Policy,
    pub(crate) allow_rollback: bool,
    pub(crate) validate_only: bool,
    pub(crate) replay: Option<(Key, Fingerprint)>,
}

/// Databases that need the same statements.
pub(crate) struct PlanGroup {
    pub(crate) engine: &'static str,
    backend: DbBackend,
    pub(crate) start_version: String,
    pub(crate) databases: usize,
    pub(crate) plan: Plan,
}

/// A sealed rollout, or what one would be.
pub(crate) struct Created {
    pub(crate) view: View,
    pub(crate) groups: Vec<PlanGroup>,
    pub(crate) targets: Vec<Target>,
}

pub(crate) async fn create(app: &App, context: &Context, new: NewRollout) -> Result<Created, Error> {
    let set = match &new.plugin {
        Some(plugin) => app.plugins.named(plugin)?,
        None => &app.tenant_set,
    };
    let version = new.version.clone().or_else(|| set.head().map(str::to_owned)).unwrap_or_default();
    if !set.contains(&version) {
        let error = MigrationError::NoSuchVersion { set: set.name(), version };
        return Err(ServerError::from(error).into());
    }
    if let Some(earlier) = earlier(app, new.replay.as_ref()).await? {
        let view = view_of(app, find(app, earlier).await?).await?;
        return Ok(Created { view, groups: Vec::new(), targets: Vec::new() });
    }
    let databases = select(app, &new.selector, new.plugin.as_deref()).await?;
    let groups = groups(app, set, &databases, &version)?;
    if !new.allow_rollback && groups.iter().any(|group| group.start_version > version) {
        let message = format!("some databases are newer than {version}; taking them back needs allow_rollback");
        return Err(Error::new(Reason::ConfirmationRequired, message));
    }
    let goal = Goal::Version(&version);
    let (mut rollout, targets) = seal(app, context, &new.policy, (set, goal), databases);
    rollout.checksums = checksums(set, &version, &groups)?;
    if new.validate_only {
        rollout.revision = 0;
        let view = View::of_plan(rollout);
        return Ok(Created { view, groups, targets });
    }
    let saved = save(app, rollout, targets, new.replay).await?;
    Ok(Created { view: view_of(app, saved).await?, groups, targets: Vec::new() })
}

/// The rollout that takes back what another one did.
pub(crate) async fn take_back(
    app: &App,
    context: &Context,
    id: RolloutId,
    policy: Policy,
    replay: Option<(Key, Fingerprint)>,
) -> Result<View, Error> {
    if let Some(earlier) = earlier(app, replay.as_ref()).await? {
        return view_of(app, find(app, earlier).await?).await;
    }
    let original = find(app, id).await?;
    match original.state {
        State::Running => return Err(refused(&original, "pause or cancel it first")),
        // The two cannot both be under way, and this is what a halted one is halted for.
        State::Paused | State::Halted => drop(super::cancel(app, id).await?),
        State::Cancelled | State::Succeeded | State::Failed => {}
    }
    let mut touched = store::touched(app.db.raw(), id).await?;
    // What took migrations back has left nothing in the ledgers; going forth again is another rollout.
    touched.retain(|target| target.start_version.as_deref() <= original.target_version.as_deref());
    let wanted: HashSet<_> = touched.iter().map(|target| target.database_id).collect();
    let set = app.set_named(&original.set_name).ok_or_else(|| unknown_set(&original.set_name))?;
    let mut databases = claims::ready(app.db.raw(), &claims::Wanted::default()).await?;
    if let Some(plugin) = plugin_of(set.name()) {
        databases = with_plugin(app, databases, plugin).await?;
    }
    databases.retain(|claim| wanted.contains(&claim.database_id));
    if databases.is_empty() {
        return Err(Error::new(Reason::NoTargets, "the rollout has applied nothing that could be taken back"));
    }
    let (rollout, targets) = seal(app, context, &policy, (set, Goal::Back(id)), databases);
    view_of(app, save(app, rollout, targets, replay).await?).await
}

async fn earlier(app: &App, replay: Option<&(Key, Fingerprint)>) -> Result<Option<RolloutId>, Error> {
    let Some((key, fingerprint)) = replay else { return Ok(None) };
    match idempotency::find(app.db.raw(), key, fingerprint, app.now()).await {
        Ok(found) => Ok(found.and_then(|bytes| uuid::Uuid::from_slice(&bytes).ok()).map(RolloutId)),
        Err(IdempotencyError::Reused) => {
            Err(Error::new(Reason::RequestIdReused, "this request_id came before with another body; use a new one"))
        }
        Err(error) => Err(Error::internal(error)),
    }
}

async fn select(app: &App, selector: &Selector, plugin: Option<&str>) -> Result<Vec<Claim>, Error> {
    let mut databases = match plugin {
        None => claims::ready(app.db.raw(), &selector.wanted).await?,
        Some(plugin) => {
            let anywhere = claims::Wanted { server: selector.wanted.server.clone(), ..claims::Wanted::default() };
            let mut databases = with_plugin(app, claims::ready(app.db.raw(), &anywhere).await?, plugin).await?;
            databases
                .retain(|claim| selector.wanted.takes_version(claim.schema_version.as_deref().unwrap_or_default()));
            databases
        }
    };
    databases.retain(|claim| selector.takes(claim));
    if !selector.labels.is_empty() && !databases.is_empty() {
        let labelled = labelled(app, &selector.labels).await?;
        databases.retain(|claim| labelled.contains(&claim.company_id.to_string()));
    }
    if databases.is_empty() {
        return Err(Error::new(Reason::NoTargets, "no database matches; look at the selector"));
    }
    Ok(databases)
}

/// Those of the databases that have the plugin's tables, each with their version in the place of its own.
async fn with_plugin(app: &App, databases: Vec<Claim>, plugin: &str) -> Result<Vec<Claim>, Error> {
    let mut versions = plugins::versions(app.db.raw(), plugin).await?;
    let with_version = |claim: Claim| {
        let schema_version = Some(versions.remove(&claim.database_id)?);
        Some(Claim { schema_version, ..claim })
    };
    Ok(databases.into_iter().filter_map(with_version).collect())
}

fn unknown_set(set: &str) -> Error {
    let message = format!("this migrator has no migrations of {set}; ask one of the release that began the rollout");
    Error::new(Reason::MigrationNotFound, message)
}

async fn labelled(app: &App, labels: &[(String, String)]) -> Result<HashSet<String>, Error> {
    let tenants = fleet::all(&app.catalog).await?;
    let has_all = |tenant: &tenantry_api::catalog::v1::Tenant| {
        labels.iter().all(|(key, value)| tenant.labels.get(key) == Some(value))
    };
    Ok(tenants.into_iter().filter(has_all).map(|tenant| tenant.company_id).collect())
}

/// The statements by engine and start version, the largest group first.
fn groups(app: &App, set: &MigrationSet, databases: &[Claim], version: &str) -> Result<Vec<PlanGroup>, Error> {
    let mut counted: BTreeMap<(&'static str, &str), (usize, DbBackend)> = BTreeMap::new();
    for claim in databases {
        let server = app.servers.named(&claim.server)?;
        let start = claim.schema_version.as_deref().unwrap_or_default();
        counted.entry((server.engine(), start)).or_insert((0, server.backend())).0 += 1;
    }
    let mut groups = Vec::with_capacity(counted.len());
    for ((engine, start), (databases, backend)) in counted {
        let from = Some(start).filter(|start| !start.is_empty());
        let plan = set.plan_between(backend, from, version).map_err(ServerError::from)?;
        groups.push(PlanGroup { engine, backend, start_version: start.to_owned(), databases, plan });
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.databases));
    Ok(groups)
}

/// By engine, of everything up to the target version: whoever goes on with the rollout has to have the same.
fn checksums(set: &MigrationSet, version: &str, groups: &[PlanGroup]) -> Result<String, Error> {
    let set = set.up_to(version).map_err(ServerError::from)?;
    let mut by_engine = BTreeMap::new();
    for group in groups {
        by_engine.insert(group.engine, set.checksum(group.backend).map_err(ServerError::from)?);
    }
    serde_json::to_string(&by_engine).map_err(Error::internal)
}

/// Whether this migrator's migrations are those that the rollout was sealed with. A release between two versions of them
/// leaves it to the replicas that have them.
pub(super) fn is_known(app: &App, rollout: &Rollout) -> Result<bool, Error> {
    let Some(set) = app.set_named(&rollout.set_name) else { return Ok(false) };
    let Some(version) = &rollout.target_version else { return Ok(true) };
    let Ok(set) = set.up_to(version) else { return Ok(false) };
    let sealed: BTreeMap<String, String> = serde_json::from_str(&rollout.checksums).map_err(Error::internal)?;
    for (engine, checksum) in &sealed {
        let Some(backend) = servers::backend_of(engine) else { return Ok(false) };
        if set.checksum(backend).map_err(ServerError::from)? != *checksum {
            return Ok(false);
        }
    }
    Ok(true)
}

#[derive(Clone, Copy)]
enum Goal<'a> {
    Version(&'a str),
    Back(RolloutId),
}

fn seal(
    app: &App,
    context: &Context,
    policy: &Policy,
    (set, goal): (&MigrationSet, Goal<'_>),
    databases: Vec<Claim>,
) -> (Rollout, Vec<Target>) {
    let (id, now) = (RolloutId::new(&*app.ids), app.now());
    let is_there = |claim: &Claim| match goal {
        Goal::Version(version) => !policy.verify && claim.schema_version.as_deref() == Some(version),
        Goal::Back(_) => false,
    };
    let base_version = most_common(&databases);
    let (there, work): (Vec<_>, Vec<_>) = databases.into_iter().partition(is_there);
    let (canary, budget) = (policy.canary_of(work.len()), policy.budget(work.len()));
    let (total, skipped) = (count(there.len() + work.len()), count(there.len()));

    let work = interleaved(work);
    let in_order = work.into_iter().map(|claim| (claim, TargetState::Pending));
    let in_order = in_order.chain(there.into_iter().map(|claim| (claim, TargetState::Skipped)));
    let targets = in_order.zip(0..).map(|((claim, state), at)| Target {
        rollout_id: id,
        position: at + 1,
        company_id: claim.company_id,
        database_id: claim.database_id,
        server: claim.server,
        database_name: claim.name,
        wave: if canary > 0 && at >= count(canary) { 2 } else { 1 },
        start_version: claim.schema_version,
        state,
        attempts: 0,
        changes: 0,
        error_reason: None,
        error_message: None,
        not_before: now,
        lease_holder: None,
        lease_until: None,
        fence: 0,
        started_at: None,
        finished_at: None,
        duration_ms: None,
    });
    let rollout = Rollout {
        id,
        set_name: set.name().to_owned(),
        state: if total == skipped { State::Succeeded } else { State::Running },
        state_reason: None,
        target_version: match goal {
            Goal::Version(version) => Some(version.to_owned()),
            Goal::Back(_) => None,
        },
        rollback_of: match goal {
            Goal::Version(_) => None,
            Goal::Back(id) => Some(id),
        },
        base_version,
        checksums: "{}".to_owned(),
        wave: 1,
        waves: if canary > 0 { 2 } else { 1 },
        canary: count(canary),
        wave_opens_at: now,
        soak_ms: i64::try_from(policy.soak.as_millis()).unwrap_or(i64::MAX),
        parallelism: policy.parallelism,
        parallelism_per_server: policy.parallelism_per_server,
        failure_budget: count(budget),
        against_budget: 0,
        max_attempts: policy.max_attempts,
        verify: policy.verify,
        rehearsed: false,
        total,
        succeeded: 0,
        failed: 0,
        skipped,
        cancelled: 0,
        creator: context.caller().subject(),
        trace_parent: propagation::traceparent(),
        revision: 1,
        created_at: now,
        updated_at: now,
        ended_at: (total == skipped).then_some(now),
    };
    (rollout, targets.collect())
}

/// Servers in turn, so that none waits while another is at its limit; each in its own order.
fn interleaved(databases: Vec<Claim>) -> Vec<Claim> {
    let mut by_server: BTreeMap<String, VecDeque<Claim>> = BTreeMap::new();
    for claim in databases {
        by_server.entry(claim.server.clone()).or_default().push_back(claim);
    }
    let mut queues: Vec<_> = by_server.into_values().collect();
    let mut in_turn = Vec::new();
    while !queues.is_empty() {
        in_turn.extend(queues.iter_mut().filter_map(VecDeque::pop_front));
        queues.retain(|queue| !queue.is_empty());
    }
    in_turn
}

fn most_common(databases: &[Claim]) -> Option<String> {
    let mut counted: HashMap<&str, usize> = HashMap::new();
    for version in databases.iter().filter_map(|claim| claim.schema_version.as_deref()) {
        *counted.entry(version).or_default() += 1;
    }
    counted.into_iter().max_by_key(|(_, databases)| *databases).map(|(version, _)| version.to_owned())
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

async fn save(
    app: &App,
    rollout: Rollout,
    targets: Vec<Target>,
    replay: Option<(Key, Fingerprint)>,
) -> Result<Rollout, Error> {
    let (id, now, at_rest) = (rollout.id, rollout.created_at, rollout.state != State::Running);
    let tx = app.db.begin().await?;
    if !at_rest && let Some(active) = store::active(&tx).await? {
        return Err(another_is_active(&active));
    }
    store::insert(&tx, rollout, targets).await?;
    record(&tx, replay, id, now).await?;
    tx.commit().await.map_err(crate::store::StoreError::from)?;
    app.rollouts.wake();
    find(app, id).await
}

pub(super) fn another_is_active(active: &Rollout) -> Error {
    let message = format!("rollout {} is {}; finish or cancel it first", active.id, super::word(active.state));
    Error::new(Reason::RolloutActive, message).with("rollout", active.id.to_string())
}

async fn record(
    tx: &impl ConnectionTrait,
    replay: Option<(Key, Fingerprint)>,
    id: RolloutId,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), Error> {
    let Some((key, fingerprint)) = replay else { return Ok(()) };
    match idempotency::record(tx, key, fingerprint, id.0.as_bytes().to_vec(), now).await {
        Ok(()) => Ok(()),
        Err(IdempotencyError::UnderWay | IdempotencyError::Reused) => {
            let message = "the same request is under way; repeat it with the same request_id";
            Err(Error::new(Reason::Overloaded, message).retry_after(std::time::Duration::from_millis(100)))
        }
        Err(error) => Err(Error::internal(error)),
    }
}

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use tenantry_api::migrator::v1::amount::Amount as WireAmount;
use tenantry_api::migrator::v1::rollout_service_server::RolloutService;
use tenantry_api::migrator::v1::{
    Amount, CancelRolloutRequest, CreateRolloutRequest, CreateRolloutResponse, FleetStatus, GetFleetStatusRequest,
    GetRolloutRequest, ListRolloutTargetsRequest, ListRolloutTargetsResponse, ListRolloutsRequest,
    ListRolloutsResponse, PauseRolloutRequest, PlanGroup, ResumeRolloutRequest, RetryFailedTargetsRequest,
    RollbackRolloutRequest, Rollout, RolloutCounts, RolloutPolicy, RolloutState, RolloutTarget, RolloutTargetState,
    VersionCount, WatchRolloutRequest, WatchRolloutResponse,
};
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Call, Violations, parse_field};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::convert::{duration, milliseconds, planned, timestamp};
use super::rollout_requests::{parse_amount, parse_creation, parse_policy, parse_replay, parse_target_state};
use crate::app::App;
use crate::app::plugins::plugin_of;
use crate::app::rollouts::{self, Created, Fleet, Glance, TARGETS_LIST, View};
use crate::store::rollouts::{State, Target, TargetState};

/// Targets that a validated plan names.
const PLANNED_SHOWN: usize = 1_000;

pub(crate) struct RolloutGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl RolloutService for RolloutGrpc {
    type WatchRolloutStream = Pin<Box<dyn Stream<Item = Result<WatchRolloutResponse, Status>> + Send>>;

    async fn create_rollout(
        &self,
        request: Request<CreateRolloutRequest>,
    ) -> Result<Response<CreateRolloutResponse>, Status> {
        let call = Call::open(request)?;
        let new = parse_creation(&call.context, call.body)?;
        Ok(Response::new(created(rollouts::create(&self.0, &call.context, new).await?)))
    }

    async fn get_rollout(&self, request: Request<GetRolloutRequest>) -> Result<Response<Rollout>, Status> {
        let call = Call::open(request)?;
        Ok(Response::new(rollout(rollouts::view(&self.0, parse_field("id", &call.body.id)?).await?)))
    }

    async fn list_rollouts(
        &self,
        request: Request<ListRolloutsRequest>,
    ) -> Result<Response<ListRolloutsResponse>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let page = rollouts::parse_page(&mut violations, call.body.page_size, &call.body.page_token);
        violations.into_result()?;
        let (views, next_page_token) = rollouts::list(&self.0, page).await?;
        Ok(Response::new(ListRolloutsResponse { rollouts: views.into_iter().map(rollout).collect(), next_page_token }))
    }

    async fn list_rollout_targets(
        &self,
        request: Request<ListRolloutTargetsRequest>,
    ) -> Result<Response<ListRolloutTargetsResponse>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let id = violations.parse("rollout_id", &call.body.rollout_id);
        let state = parse_target_state(&mut violations, call.body.state);
        let page = Page::parse(&mut violations, TARGETS_LIST, call.body.page_size, &call.body.page_token);
        let (rows, next_page_token) = rollouts::targets(&self.0, violations.finish(id)?, state, page).await?;
        let targets = rows.into_iter().map(target).collect();
        Ok(Response::new(ListRolloutTargetsResponse { targets, next_page_token }))
    }

    async fn watch_rollout(
        &self,
        request: Request<WatchRolloutRequest>,
    ) -> Result<Response<Self::WatchRolloutStream>, Status> {
        let call = Call::open(request)?;
        let id = parse_field("id", &call.body.id)?;
        rollouts::view(&self.0, id).await?;
        let (to, glances) = mpsc::channel(1);
        self.0.tasks.spawn(rollouts::watch(self.0.clone(), id, self.0.stopping.clone(), to));
        let answers = ReceiverStream::new(glances).map(|seen| seen.map(glance).map_err(Status::from));
        Ok(Response::new(Box::pin(answers)))
    }

    async fn pause_rollout(&self, request: Request<PauseRolloutRequest>) -> Result<Response<Rollout>, Status> {
        let call = Call::open(request)?;
        Ok(Response::new(rollout(rollouts::pause(&self.0, parse_field("id", &call.body.id)?).await?)))
    }

    async fn resume_rollout(&self, request: Request<ResumeRolloutRequest>) -> Result<Response<Rollout>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let id = violations.parse("id", &call.body.id);
        let budget = parse_amount(&mut violations, "failure_budget", call.body.failure_budget);
        Ok(Response::new(rollout(rollouts::resume(&self.0, violations.finish(id)?, budget).await?)))
    }

    async fn cancel_rollout(&self, request: Request<CancelRolloutRequest>) -> Result<Response<Rollout>, Status> {
        let call = Call::open(request)?;
        Ok(Response::new(rollout(rollouts::cancel(&self.0, parse_field("id", &call.body.id)?).await?)))
    }

    async fn retry_failed_targets(
        &self,
        request: Request<RetryFailedTargetsRequest>,
    ) -> Result<Response<Rollout>, Status> {
        let call = Call::open(request)?;
        Ok(Response::new(rollout(rollouts::retry_failed(&self.0, parse_field("id", &call.body.id)?).await?)))
    }

    async fn rollback_rollout(&self, request: Request<RollbackRolloutRequest>) -> Result<Response<Rollout>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let id = violations.parse("id", &call.body.id);
        let replay = parse_replay(&mut violations, &call.context, &call.body.request_id, &call.body);
        let policy = parse_policy(&mut violations, call.body.policy.unwrap_or_default());
        let view = rollouts::take_back(&self.0, &call.context, violations.finish(id)?, policy, replay).await?;
        Ok(Response::new(rollout(view)))
    }

    async fn get_fleet_status(&self, request: Request<GetFleetStatusRequest>) -> Result<Response<FleetStatus>, Status> {
        let call = Call::open(request)?;
        let server = Some(call.body.server.as_str()).filter(|server| !server.is_empty());
        Ok(Response::new(fleet(rollouts::fleet(&self.0, server).await?)))
    }
}

fn created(made: Created) -> CreateRolloutResponse {
    let groups = made.groups.into_iter().map(|group| PlanGroup {
        engine: group.engine.to_owned(),
        start_version: group.start_version,
        databases: small(group.databases),
        steps: group.plan.steps.into_iter().map(|step| planned(step, false)).collect(),
    });
    let is_plan = made.view.rollout.revision == 0;
    let mut message = rollout(made.view);
    if is_plan {
        message.id = String::new();
    }
    let targets = made.targets.into_iter().take(PLANNED_SHOWN).map(target).collect();
    CreateRolloutResponse { groups: groups.collect(), rollout: Some(message), targets }
}

fn small(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn rollout(view: View) -> Rollout {
    let (left, running) = (view.left(), view.running);
    let row = view.rollout;
    let counts = RolloutCounts {
        total: row.total,
        pending: (left - running).max(0),
        running,
        succeeded: row.succeeded,
        failed: row.failed,
        skipped: row.skipped,
        cancelled: row.cancelled,
    };
    let number = |count| Some(Amount { amount: Some(WireAmount::Count(count)) });
    let policy = RolloutPolicy {
        canary: if row.canary > 0 { number(row.canary) } else { None },
        soak: Some(milliseconds(row.soak_ms)),
        parallelism: row.parallelism,
        parallelism_per_server: row.parallelism_per_server,
        failure_budget: number(row.failure_budget),
        max_attempts: row.max_attempts,
        verify: row.verify,
    };
    let soaks = row.state == State::Running && row.wave > 1 && left > 0 && row.wave_opens_at > row.updated_at;
    let checksums: BTreeMap<String, String> = serde_json::from_str(&row.checksums).unwrap_or_default();
    Rollout {
        id: row.id.to_string(),
        state: state(row.state).into(),
        state_reason: row.state_reason.unwrap_or_default(),
        plugin: plugin_of(&row.set_name).unwrap_or_default().to_owned(),
        target_version: row.target_version.unwrap_or_default(),
        rollback_of: row.rollback_of.map(|id| id.to_string()).unwrap_or_default(),
        policy: Some(policy),
        counts: Some(counts),
        wave: row.wave,
        waves: row.waves,
        soak_end_time: soaks.then(|| timestamp(row.wave_opens_at)),
        checksums,
        creator: row.creator,
        create_time: Some(timestamp(row.created_at)),
        end_time: row.ended_at.map(timestamp),
        joined_later: view.joined_later,
    }
}

fn state(state: State) -> RolloutState {
    match state {
        State::Running => RolloutState::Running,
        State::Paused => RolloutState::Paused,
        State::Halted => RolloutState::Halted,
        State::Cancelled => RolloutState::Cancelled,
        State::Succeeded => RolloutState::Succeeded,
        State::Failed => RolloutState::Failed,
    }
}

fn target(row: Target) -> RolloutTarget {
    let state = match row.state {
        TargetState::Pending => RolloutTargetState::Pending,
        TargetState::Running => RolloutTargetState::Running,
        TargetState::Succeeded => RolloutTargetState::Succeeded,
        TargetState::Failed => RolloutTargetState::Failed,
        TargetState::Skipped => RolloutTargetState::Skipped,
        TargetState::Cancelled => RolloutTargetState::Cancelled,
    };
    RolloutTarget {
        position: row.position,
        company_id: row.company_id.to_string(),
        server: row.server,
        database: row.database_name,
        wave: row.wave,
        start_version: row.start_version.unwrap_or_default(),
        state: state.into(),
        attempts: row.attempts,
        changes: row.changes,
        error_reason: row.error_reason.unwrap_or_default(),
        error_message: row.error_message.unwrap_or_default(),
        start_time: row.started_at.map(timestamp),
        duration: row.duration_ms.map(milliseconds),
    }
}

fn glance(seen: Glance) -> WatchRolloutResponse {
    WatchRolloutResponse {
        rollout: Some(rollout(seen.view)),
        targets_per_second: seen.per_second,
        time_left: seen.time_left.map(duration),
        failures: seen.failures.into_iter().map(target).collect(),
    }
}

fn fleet(status: Fleet) -> FleetStatus {
    let count = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    let databases = status.versions.iter().map(|(_, _, databases)| databases).sum();
    let behind = status.versions.iter().filter(|(version, _, _)| *version != status.head);
    let behind = behind.map(|(_, _, databases)| databases).sum();
    let versions = status.versions.iter().map(|(version, server, databases)| VersionCount {
        version: version.clone(),
        server: server.clone(),
        databases: count(*databases),
    });
    let failed = status.failed.into_iter().map(|(claim, failure)| match failure {
        Some(failure) => target(failure),
        None => RolloutTarget {
            company_id: claim.company_id.to_string(),
            server: claim.server,
            database: claim.name,
            ..Default::default()
        },
    });
    FleetStatus {
        databases: count(databases),
        versions: versions.collect(),
        behind: count(behind),
        failed: failed.collect(),
        failed_total: i32::try_from(status.failed_total).unwrap_or(i32::MAX),
        locked: i32::try_from(status.locked).unwrap_or(i32::MAX),
        drifted: i32::try_from(status.drifted).unwrap_or(i32::MAX),
        active_rollout_id: status.active.map(|id| id.to_string()).unwrap_or_default(),
        head_version: status.head,
    }
}

//! The fleet.

use tenantry_api::catalog::v1::CreateCompanyRequest;
use tenantry_api::migrator::v1::amount::Amount as Number;
use tenantry_api::migrator::v1::{
    Amount, CancelRolloutRequest, CreateRolloutRequest, FleetStatus, GetFleetStatusRequest, GetRolloutRequest,
    ListRolloutTargetsRequest, ListRolloutsRequest, PauseRolloutRequest, ResumeRolloutRequest,
    RetryFailedTargetsRequest, RollbackRolloutRequest, Rollout, RolloutPolicy, RolloutState, RolloutTarget,
    RolloutTargetState, TargetSelector, WatchRolloutRequest,
};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Operator, Owner, PASSWORD, fresh_email};
use tenantry_testkit::sandbox::Sandbox;

use crate::migrations::{BEFORE, HEAD, another_company, database_of, vanish};
use crate::processes::eventually;
use crate::support::{per_engine, reason};

per_engine!(
    a_fleet_goes_back_and_forth_and_every_target_is_a_row,
    a_sabotaged_canary_halts_it_and_what_it_did_is_taken_back,
    a_vanished_database_stops_nobody,
    what_is_up_to_date_is_skipped_and_what_matches_nothing_is_said,
    a_rollout_soaks_pauses_goes_on_and_is_cancelled,
    one_at_a_time_and_repeated_calls_are_one,
);

/// A fleet of companies with one owner, and somebody to operate it.
struct Fleet<'s> {
    sandbox: &'s Sandbox,
    operator: Operator,
    ids: Vec<String>,
}

impl<'s> Fleet<'s> {
    async fn of(sandbox: &'s Sandbox, companies: usize) -> anyhow::Result<Self> {
        let (owner, operator) = (Owner::of_new_company(sandbox, "Fleet").await?, Operator::of(sandbox).await?);
        let mut ids = vec![owner.company.id.clone()];
        for n in 1..companies {
            ids.push(another_company(sandbox, &operator, &owner, &format!("Fleet {n}")).await?);
        }
        Ok(Self { sandbox, operator, ids })
    }

    async fn create(&self, request: CreateRolloutRequest) -> Result<Rollout, tonic::Status> {
        let mut rollouts = self.sandbox.rollouts().map_err(|error| tonic::Status::internal(error.to_string()))?;
        let created = rollouts.create_rollout(self.operator.request(request)).await?.into_inner();
        Ok(created.rollout.unwrap_or_default())
    }

    /// Watches until it comes to rest.
    async fn rest(&self, id: &str) -> anyhow::Result<Rollout> {
        let watch = WatchRolloutRequest { id: id.to_owned() };
        let mut seen = self.sandbox.rollouts()?.watch_rollout(self.operator.request(watch)).await?.into_inner();
        let mut last = None;
        while let Some(glance) = seen.message().await? {
            last = glance.rollout;
        }
        last.ok_or_else(|| anyhow::anyhow!("a watch without a word"))
    }

    async fn to(&self, version: &str, policy: RolloutPolicy) -> anyhow::Result<Rollout> {
        let id = self.create(to(version, policy)).await?.id;
        self.rest(&id).await
    }

    async fn targets(&self, id: &str, state: RolloutTargetState) -> anyhow::Result<Vec<RolloutTarget>> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            // Small pages, so that there are several.
            let list =
                ListRolloutTargetsRequest { rollout_id: id.to_owned(), state: state.into(), page_size: 2, page_token };
            let page = self.sandbox.rollouts()?.list_rollout_targets(self.operator.request(list)).await?.into_inner();
            all.extend(page.targets);
            if page.next_page_token.is_empty() {
                return Ok(all);
            }
            page_token = page.next_page_token;
        }
    }

    async fn status(&self) -> anyhow::Result<FleetStatus> {
        let request = self.operator.request(GetFleetStatusRequest::default());
        Ok(self.sandbox.rollouts()?.get_fleet_status(request).await?.into_inner())
    }

    /// Makes what the newest migration makes, so that it fails there.
    async fn sabotage(&self, id: &str) -> anyhow::Result<()> {
        self.by_hand(id, "CREATE TABLE person_tokens (id int)").await
    }

    async fn mend(&self, id: &str) -> anyhow::Result<()> {
        self.by_hand(id, "DROP TABLE person_tokens").await
    }

    async fn by_hand(&self, id: &str, sql: &str) -> anyhow::Result<()> {
        let name = database_of(self.sandbox, &self.operator, id).await?;
        self.sandbox.run_in(&name, sql).await
    }
}

fn to(version: &str, policy: RolloutPolicy) -> CreateRolloutRequest {
    CreateRolloutRequest {
        version: version.to_owned(),
        policy: Some(policy),
        allow_rollback: true,
        ..Default::default()
    }
}

fn count(count: i32) -> Option<Amount> {
    Some(Amount { amount: Some(Number::Count(count)) })
}

async fn a_fleet_goes_back_and_forth_and_every_target_is_a_row(sandbox: &Sandbox) -> anyhow::Result<()> {
    let fleet = Fleet::of(sandbox, 5).await?;
    let refused = fleet.create(CreateRolloutRequest { version: BEFORE.into(), ..Default::default() }).await;
    assert_eq!(reason(refused), Some(Reason::ConfirmationRequired));

    let plan = CreateRolloutRequest { validate_only: true, ..to(BEFORE, RolloutPolicy::default()) };
    let plan = sandbox.rollouts()?.create_rollout(fleet.operator.request(plan)).await?.into_inner();
    assert_eq!((plan.groups.len(), plan.groups[0].databases, plan.targets.len()), (1, 5, 5));
    assert!(plan.groups[0].steps[0].statements.iter().any(|sql| sql.contains("DROP TABLE")), "{plan:?}");
    assert_eq!(plan.rollout.expect("a plan").id, "");

    let back = fleet.to(BEFORE, RolloutPolicy::default()).await?;
    assert_eq!((back.state(), back.counts.unwrap_or_default().succeeded), (RolloutState::Succeeded, 5));
    let status = fleet.status().await?;
    assert_eq!((status.databases, status.behind, status.versions.len()), (5, 5, 1));
    assert_eq!(status.versions[0].version, BEFORE);

    let policy = RolloutPolicy { canary: count(2), parallelism: 2, ..Default::default() };
    let forth = fleet.to("", policy).await?;
    assert_eq!((forth.state(), forth.wave, forth.waves), (RolloutState::Succeeded, 2, 2));
    assert_eq!(forth.target_version, HEAD);
    let targets = fleet.targets(&forth.id, RolloutTargetState::Succeeded).await?;
    assert_eq!(targets.iter().map(|target| target.wave).collect::<Vec<_>>(), [1, 1, 2, 2, 2]);
    assert!(targets.iter().all(|target| target.attempts == 1 && target.changes == 1 && target.start_version == BEFORE));
    assert_eq!(fleet.status().await?.behind, 0);

    let list = sandbox.rollouts()?.list_rollouts(fleet.operator.request(ListRolloutsRequest::default())).await?;
    assert_eq!(list.into_inner().rollouts.iter().map(|rollout| &rollout.id).collect::<Vec<_>>(), [&forth.id, &back.id]);
    Ok(())
}

async fn a_sabotaged_canary_halts_it_and_what_it_did_is_taken_back(sandbox: &Sandbox) -> anyhow::Result<()> {
    let fleet = Fleet::of(sandbox, 4).await?;
    fleet.to(BEFORE, RolloutPolicy::default()).await?;
    fleet.sabotage(&fleet.ids[1]).await?;

    let policy = || RolloutPolicy { canary: count(2), failure_budget: count(0), parallelism: 1, ..Default::default() };
    let halted = fleet.to("", policy()).await?;
    let counts = halted.counts.unwrap_or_default();
    assert_eq!((halted.state(), counts.succeeded, counts.failed, counts.pending), (RolloutState::Halted, 1, 1, 2));
    let failed = fleet.targets(&halted.id, RolloutTargetState::Failed).await?;
    assert_eq!(failed[0].company_id, fleet.ids[1]);
    assert_eq!(failed[0].error_reason, "MIGRATION_FAILED");
    assert!(failed[0].error_message.contains("exists"), "{}", failed[0].error_message);
    let status = fleet.status().await?;
    assert_eq!((status.failed_total, status.behind, status.active_rollout_id), (1, 3, halted.id.clone()));
    // Sign-ups get what the fleet is at, until a canary has proven the next.
    let (newcomer, operator) = (Owner::of_new_company(sandbox, "Newcomer").await, &fleet.operator);
    let newcomer = newcomer?.company.id;
    let get = tenantry_api::migrator::v1::GetTenantDatabaseRequest { company_id: newcomer };
    let made = sandbox.tenant_databases()?.get_tenant_database(operator.request(get)).await?.into_inner();
    assert_eq!(made.schema_version, BEFORE);

    let resume = ResumeRolloutRequest { id: halted.id.clone(), failure_budget: None };
    assert_eq!(reason(sandbox.rollouts()?.resume_rollout(operator.request(resume)).await), Some(Reason::RolloutState));
    let back = RollbackRolloutRequest { id: halted.id.clone(), ..Default::default() };
    let back = sandbox.rollouts()?.rollback_rollout(operator.request(back)).await?.into_inner();
    let back = fleet.rest(&back.id).await?;
    assert_eq!((back.state(), back.rollback_of.as_str()), (RolloutState::Succeeded, halted.id.as_str()));
    let taken: i32 =
        fleet.targets(&back.id, RolloutTargetState::Succeeded).await?.iter().map(|target| target.changes).sum();
    assert_eq!(taken, 1, "only where it was applied");
    assert_eq!(fleet.status().await?.behind, 5);

    fleet.mend(&fleet.ids[1]).await?;
    let done = fleet.to("", policy()).await?;
    assert_eq!(done.state(), RolloutState::Succeeded);
    assert_eq!(done.counts.unwrap_or_default().succeeded, 5);
    Ok(())
}

async fn a_vanished_database_stops_nobody(sandbox: &Sandbox) -> anyhow::Result<()> {
    let fleet = Fleet::of(sandbox, 4).await?;
    fleet.to(BEFORE, RolloutPolicy::default()).await?;
    vanish(sandbox, &fleet.operator, &fleet.ids[0]).await?;
    fleet.sabotage(&fleet.ids[2]).await?;

    let policy = RolloutPolicy { failure_budget: count(1), parallelism: 1, ..Default::default() };
    let done = fleet.to("", policy).await?;
    let counts = done.counts.unwrap_or_default();
    assert_eq!((done.state(), counts.succeeded, counts.failed), (RolloutState::Failed, 2, 2));
    let failed = fleet.targets(&done.id, RolloutTargetState::Failed).await?;
    let reasons: Vec<_> = failed.iter().map(|target| target.error_reason.as_str()).collect();
    assert_eq!(reasons, ["DATABASE_MISSING", "MIGRATION_FAILED"]);

    fleet.mend(&fleet.ids[2]).await?;
    let retry = RetryFailedTargetsRequest { id: done.id.clone() };
    sandbox.rollouts()?.retry_failed_targets(fleet.operator.request(retry)).await?;
    let again = fleet.rest(&done.id).await?.counts.unwrap_or_default();
    assert_eq!((again.succeeded, again.failed), (3, 1));
    Ok(())
}

async fn what_is_up_to_date_is_skipped_and_what_matches_nothing_is_said(sandbox: &Sandbox) -> anyhow::Result<()> {
    let fleet = Fleet::of(sandbox, 3).await?;
    let done = fleet.create(CreateRolloutRequest::default()).await?;
    assert_eq!((done.state(), done.counts.unwrap_or_default().skipped), (RolloutState::Succeeded, 3));
    let verified = fleet.to("", RolloutPolicy { verify: true, ..Default::default() }).await?;
    assert_eq!(verified.counts.unwrap_or_default().succeeded, 3);

    for targets in [
        TargetSelector { company_ids: vec![uuid::Uuid::now_v7().to_string()], ..Default::default() },
        TargetSelector { labels: vec!["tier=gold".into()], ..Default::default() },
        TargetSelector { server: "elsewhere".into(), ..Default::default() },
        TargetSelector { max_version: BEFORE.into(), ..Default::default() },
        TargetSelector { skip_company_ids: fleet.ids.clone(), ..Default::default() },
    ] {
        let refused = fleet.create(CreateRolloutRequest { targets: Some(targets), ..Default::default() }).await;
        assert_eq!(reason(refused), Some(Reason::NoTargets));
    }
    let one = TargetSelector { company_ids: vec![fleet.ids[1].clone()], ..Default::default() };
    let back =
        fleet.create(CreateRolloutRequest { targets: Some(one), ..to(BEFORE, RolloutPolicy::default()) }).await?;
    assert_eq!(fleet.rest(&back.id).await?.counts.unwrap_or_default().total, 1);
    assert_eq!(fleet.status().await?.behind, 1);
    Ok(())
}

async fn a_rollout_soaks_pauses_goes_on_and_is_cancelled(sandbox: &Sandbox) -> anyhow::Result<()> {
    let fleet = Fleet::of(sandbox, 3).await?;
    let soak = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
    let policy = RolloutPolicy { canary: count(1), soak, ..Default::default() };
    let id = fleet.create(to(BEFORE, policy)).await?.id;
    let mut rollouts = sandbox.rollouts()?;
    let soaking = eventually("the second wave", async || {
        let get = GetRolloutRequest { id: id.clone() };
        let seen = sandbox.rollouts()?.get_rollout(fleet.operator.request(get)).await?.into_inner();
        anyhow::ensure!(seen.state() == RolloutState::Running, "{seen:?}");
        Ok((seen.wave == 2).then_some(seen))
    })
    .await?;
    assert!(soaking.soak_end_time.is_some());
    assert_eq!(soaking.counts.unwrap_or_default().succeeded, 1, "the rest waits for the soak");
    for _ in 0..2 {
        let pause = PauseRolloutRequest { id: id.clone() };
        let paused = rollouts.pause_rollout(fleet.operator.request(pause)).await?.into_inner();
        assert_eq!(paused.state(), RolloutState::Paused);
    }
    let resumed = rollouts
        .resume_rollout(fleet.operator.request(ResumeRolloutRequest { id: id.clone(), failure_budget: None }))
        .await?;
    assert_eq!(resumed.into_inner().state(), RolloutState::Running);
    let cancelled =
        rollouts.cancel_rollout(fleet.operator.request(CancelRolloutRequest { id: id.clone() })).await?.into_inner();
    assert_eq!((cancelled.state(), cancelled.counts.unwrap_or_default().cancelled), (RolloutState::Cancelled, 2));
    let again = rollouts.pause_rollout(fleet.operator.request(PauseRolloutRequest { id })).await;
    assert_eq!(reason(again), Some(Reason::RolloutState));
    assert_eq!(fleet.status().await?.behind, 1, "what is done stays done");
    Ok(())
}

async fn one_at_a_time_and_repeated_calls_are_one(sandbox: &Sandbox) -> anyhow::Result<()> {
    let fleet = Fleet::of(sandbox, 2).await?;
    let soak = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
    let policy = RolloutPolicy { canary: count(1), soak, ..Default::default() };
    let request = CreateRolloutRequest { request_id: uuid::Uuid::now_v7().to_string(), ..to(BEFORE, policy) };
    let first = fleet.create(request.clone()).await?;
    assert_eq!(fleet.create(request.clone()).await?.id, first.id);
    let other = CreateRolloutRequest { version: HEAD.into(), ..request };
    assert_eq!(reason(fleet.create(other).await), Some(Reason::RequestIdReused));
    let second = fleet.create(to(BEFORE, RolloutPolicy::default())).await;
    assert_eq!(reason(second), Some(Reason::RolloutActive));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_rollout_goes_to_servers_of_three_engines() -> anyhow::Result<()> {
    let sandbox = Sandbox::start_on_all().await?;
    let mut fleet = Fleet::of(&sandbox, 1).await?;
    for server in ["main", "mariadb", "sqlite", "mariadb", "sqlite"] {
        let create = CreateCompanyRequest {
            name: format!("On {server}"),
            owner_email: fresh_email(),
            owner_password: PASSWORD.into(),
            database_server: server.into(),
            ..Default::default()
        };
        let company = sandbox.companies()?.create_company(fleet.operator.request(create)).await?.into_inner();
        assert_eq!(company.database_server, server);
        fleet.ids.push(company.id);
    }
    let plan = CreateRolloutRequest { validate_only: true, ..to(BEFORE, RolloutPolicy::default()) };
    let plan = sandbox.rollouts()?.create_rollout(fleet.operator.request(plan)).await?.into_inner();
    let mut groups: Vec<_> = plan.groups.iter().map(|group| (group.engine.as_str(), group.databases)).collect();
    groups.sort_unstable();
    assert_eq!(groups, [("mysql", 2), ("postgres", 2), ("sqlite", 2)]);
    // In turn, so that no server waits for another.
    let order: Vec<_> = plan.targets.iter().take(3).map(|target| target.server.as_str()).collect();
    assert_eq!(order, ["main", "mariadb", "sqlite"]);

    let policy = || RolloutPolicy { parallelism: 3, parallelism_per_server: 1, ..Default::default() };
    assert_eq!(fleet.to(BEFORE, policy()).await?.counts.unwrap_or_default().succeeded, 6);
    let forth = fleet.to("", policy()).await?;
    assert_eq!((forth.state(), forth.checksums.len()), (RolloutState::Succeeded, 3));
    let status = fleet.status().await?;
    assert_eq!((status.behind, status.versions.len()), (0, 3));
    let one = GetFleetStatusRequest { server: "mariadb".into() };
    let one = sandbox.rollouts()?.get_fleet_status(fleet.operator.request(one)).await?.into_inner();
    assert_eq!(one.databases, 2);
    sandbox.stop().await
}

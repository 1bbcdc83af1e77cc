//! What companies may ask for: by plan and of their own, from the catalog to the road.

use prost_types::FieldMask;
use tenantry_api::catalog::v1::{
    Company, DeletePlanRequest, GetCompanyRequest, GetPlanRequest, ListPlansRequest, Plan, TenantLimits,
    UpdateCompanyRequest, UpdatePlanRequest,
};
use tenantry_api::crm::v1::ListPeopleRequest;
use tenantry_rpc::{Reason, reason_of};
use tenantry_testkit::actors::{Actor, Operator, Owner};
use tenantry_testkit::sandbox::Sandbox;
use tokio::task::JoinSet;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::support::{fields, per_engine, reason};

per_engine!(plans_are_made_changed_and_removed, a_limit_reaches_the_road_and_no_other_company);

/// Calls at once: more than any limit here.
const FLOOD: usize = 24;

struct Setup<'s> {
    sandbox: &'s Sandbox,
    operator: Operator,
}

impl Setup<'_> {
    async fn plan(&self, plan: Plan, paths: &[&str], allow_missing: bool) -> Result<Plan, Status> {
        let update_mask = Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
        let request = self.operator.request(UpdatePlanRequest { plan: Some(plan), update_mask, allow_missing });
        Ok(self.sandbox.clients().plans().expect("a client").update_plan(request).await?.into_inner())
    }

    async fn set(&self, name: &str, limits: TenantLimits) -> Result<Plan, Status> {
        self.plan(Plan { name: name.into(), limits: Some(limits), ..Plan::default() }, &["limits"], true).await
    }

    async fn delete(&self, name: &str, etag: &str) -> Result<(), Status> {
        let request = self.operator.request(DeletePlanRequest { name: name.into(), etag: etag.into() });
        self.sandbox.clients().plans().expect("a client").delete_plan(request).await?;
        Ok(())
    }

    async fn company(&self, company: Company, paths: &[&str]) -> Result<Company, Status> {
        let update_mask = Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
        let request = self.operator.request(UpdateCompanyRequest { company: Some(company), update_mask });
        Ok(self.sandbox.companies().expect("a client").update_company(request).await?.into_inner())
    }

    /// The refusals of many calls at once.
    async fn flood(&self, owner: &Owner) -> anyhow::Result<Vec<Status>> {
        let mut calls = JoinSet::new();
        for _ in 0..FLOOD {
            let (mut people, request) = (self.sandbox.people()?, owner.request(ListPeopleRequest::default()));
            calls.spawn(async move { people.list_people(request).await });
        }
        Ok(calls.join_all().await.into_iter().filter_map(Result::err).collect())
    }

    /// Floods until it is met by a refusal like this, or by none where `None` is expected.
    async fn meets(&self, owner: &Owner, expected: Option<Reason>) -> anyhow::Result<()> {
        crate::processes::eventually(&format!("{expected:?}"), async || {
            let refusals = self.flood(owner).await?;
            let reasons: Vec<_> = refusals.iter().map(reason_of).collect();
            for refusal in refusals {
                let retry = refusal.get_details_retry_info().and_then(|info| info.retry_delay);
                anyhow::ensure!(retry.is_some_and(|delay| !delay.is_zero()), "{refusal:?}");
            }
            Ok(match expected {
                None => reasons.is_empty(),
                Some(_) => reasons.contains(&expected) && reasons.len() < FLOOD,
            }
            .then_some(()))
        })
        .await
    }
}

async fn plans_are_made_changed_and_removed(sandbox: &Sandbox) -> anyhow::Result<()> {
    let setup = Setup { sandbox, operator: Operator::of(sandbox).await? };
    let small = |limits| Plan { name: "small \"🌙\"".into(), limits: Some(limits), ..Plan::default() };
    let limits = TenantLimits { requests_per_second: 7, connections: 2, ..TenantLimits::default() };
    assert_eq!(reason(setup.plan(small(limits), &["limits"], false).await), Some(Reason::PlanNotFound));
    let made = setup.plan(small(limits), &[], true).await?;
    assert_eq!((made.limits, made.etag.as_str()), (Some(limits), "1"));
    let again = setup.plan(small(limits), &["*"], true).await?;
    assert_eq!(again, made, "nothing changes");

    // Only what the mask names.
    let other = TenantLimits { requests_per_second: 1, concurrent_requests: 9, connections: 0 };
    let changed = setup.plan(small(other), &["limits.concurrent_requests"], false).await?;
    assert_eq!(changed.limits, Some(TenantLimits { concurrent_requests: 9, ..limits }));
    let stale = Plan { etag: made.etag, ..small(other) };
    assert_eq!(reason(setup.plan(stale, &["limits"], false).await), Some(Reason::EtagMismatch));
    let beyond = TenantLimits { requests_per_second: 1_000_001, concurrent_requests: -1, connections: 1_000_000 };
    let wrong = fields(setup.plan(Plan { name: String::new(), ..small(beyond) }, &["speed"], true).await);
    let expected = ["plan.name", "plan.limits.requests_per_second", "plan.limits.concurrent_requests", "update_mask"];
    assert_eq!(wrong, expected);

    let mut plans = sandbox.clients().plans()?;
    setup.set("large", TenantLimits::default()).await?;
    let listed = plans.list_plans(setup.operator.request(ListPlansRequest {})).await?.into_inner().plans;
    assert_eq!(listed.iter().map(|plan| plan.name.as_str()).collect::<Vec<_>>(), ["large", "small \"🌙\""]);
    let get = |name: &str| setup.operator.request(GetPlanRequest { name: name.into() });
    assert_eq!(plans.get_plan(get("small \"🌙\"")).await?.into_inner(), changed);
    assert_eq!(reason(setup.delete("large", "2").await), Some(Reason::EtagMismatch));
    setup.delete("large", "1").await?;
    assert_eq!(reason(setup.delete("large", "").await), Some(Reason::PlanNotFound));
    assert_eq!(reason(plans.get_plan(get("large")).await), Some(Reason::PlanNotFound));
    Ok(())
}

async fn a_limit_reaches_the_road_and_no_other_company(sandbox: &Sandbox) -> anyhow::Result<()> {
    let setup = Setup { sandbox, operator: Operator::of(sandbox).await? };
    let flooding = Owner::of_new_company(sandbox, "Flooding").await?;
    let other = Owner::of_new_company(sandbox, "Other").await?;
    assert!(setup.flood(&flooding).await?.is_empty(), "nobody has set a limit");

    // By its plan, which comes after the company has booked it.
    let booked = Company { id: flooding.company.id.clone(), plan: "small".into(), ..Company::default() };
    assert_eq!(setup.company(booked.clone(), &["plan"]).await?.effective_limits, None);
    let slow = TenantLimits { requests_per_second: 1, ..TenantLimits::default() };
    setup.set("small", slow).await?;
    setup.meets(&flooding, Some(Reason::RateLimited)).await?;
    assert!(setup.flood(&other).await?.is_empty());

    // By its own, which goes before the plan's.
    let own = TenantLimits { requests_per_second: 1_000_000, concurrent_requests: 1, connections: 1 };
    let shown = setup.company(Company { limits: Some(own), ..booked.clone() }, &["limits"]).await?;
    assert_eq!((shown.limits, shown.effective_limits), (Some(own), Some(own)));
    setup.meets(&flooding, Some(Reason::ConcurrencyLimited)).await?;
    assert!(setup.flood(&other).await?.is_empty());
    let get = GetCompanyRequest { id: flooding.company.id.clone(), ..GetCompanyRequest::default() };
    let seen = sandbox.companies()?.get_company(flooding.request(get)).await?.into_inner();
    assert_eq!((seen.limits, seen.effective_limits), (None, Some(own)), "its people see what they may do");

    // One connection is enough for everybody who waits for it.
    let patient = TenantLimits { concurrent_requests: 0, ..own };
    setup.company(Company { limits: Some(patient), ..booked.clone() }, &["limits"]).await?;
    setup.meets(&flooding, None).await?;

    // Without limits again.
    setup.company(Company { limits: None, ..booked }, &["limits"]).await?;
    setup.meets(&flooding, Some(Reason::RateLimited)).await?;
    setup.delete("small", "").await?;
    setup.meets(&flooding, None).await
}

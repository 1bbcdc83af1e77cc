use std::sync::Arc;

use tenantry_api::catalog::v1::plan_service_server::PlanService;
use tenantry_api::catalog::v1::{
    DeletePlanRequest, GetPlanRequest, ListPlansRequest, ListPlansResponse, Plan, TenantLimits, UpdatePlanRequest,
};
use tenantry_rpc::{Call, Error, Violations};
use tonic::{Request, Response, Status};

use super::convert::{limits_shown, timestamp};
use crate::app::App;
use crate::app::plans::{self, Wanted};
use crate::domain::Limits;
use crate::store::entities::plan;

const MAX_NAME_CHARS: usize = 63;
/// Of each limit.
const MAX_LIMIT: i32 = 1_000_000;
/// The fields that a mask can name.
const FIELDS: [&str; 3] = ["limits.requests_per_second", "limits.concurrent_requests", "limits.connections"];

pub(crate) struct PlanGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl PlanService for PlanGrpc {
    async fn get_plan(&self, request: Request<GetPlanRequest>) -> Result<Response<Plan>, Status> {
        let name = parse_name(&Call::open(request)?.body.name)?;
        Ok(Response::new(convert(plans::get(&self.0, &name).await?)))
    }

    async fn list_plans(&self, request: Request<ListPlansRequest>) -> Result<Response<ListPlansResponse>, Status> {
        Call::open(request)?;
        let plans = plans::list(&self.0).await?.into_iter().map(convert).collect();
        Ok(Response::new(ListPlansResponse { plans }))
    }

    async fn update_plan(&self, request: Request<UpdatePlanRequest>) -> Result<Response<Plan>, Status> {
        let call = Call::open(request)?;
        let wanted = parse_update(call.body)?;
        Ok(Response::new(convert(plans::update(&self.0, &call.context, &wanted).await?)))
    }

    async fn delete_plan(&self, request: Request<DeletePlanRequest>) -> Result<Response<()>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let name = violations.text("name", &call.body.name, MAX_NAME_CHARS);
        let revision = violations.etag("etag", &call.body.etag);
        let (name, revision) = violations.finish(Some((name, revision)))?;
        plans::delete(&self.0, &call.context, &name, revision).await?;
        Ok(Response::new(()))
    }
}

fn parse_name(name: &str) -> Result<String, Error> {
    let mut violations = Violations::new();
    let name = violations.text("name", name, MAX_NAME_CHARS);
    violations.finish(Some(name))
}

fn parse_update(body: UpdatePlanRequest) -> Result<Wanted, Error> {
    let mut violations = Violations::new();
    let plan = body.plan.unwrap_or_default();
    let name = violations.text("plan.name", &plan.name, MAX_NAME_CHARS);
    let revision = violations.etag("plan.etag", &plan.etag);
    let limits = limits(&mut violations, "plan.limits", plan.limits);
    let values = [limits.requests_per_second, limits.concurrent_requests, limits.connections];
    let paths = body.update_mask.unwrap_or_default().paths;
    for path in
        paths.iter().filter(|path| !["*", "limits"].contains(&path.as_str()) && !FIELDS.contains(&path.as_str()))
    {
        violations.add("update_mask", format!("{path:?} is no field that can be changed"));
    }
    // An empty mask names every field that is set, `*` all (AIP-134).
    let named = |at: usize| match paths.as_slice() {
        [] => values[at] != 0,
        paths => paths.iter().any(|path| ["*", "limits", FIELDS[at]].contains(&path.as_str())),
    };
    let of = |at: usize| named(at).then_some(values[at]);
    let (requests_per_second, concurrent_requests, connections) = (of(0), of(1), of(2));
    let allow_missing = body.allow_missing;
    violations.finish(Some(Wanted {
        name,
        revision,
        requests_per_second,
        concurrent_requests,
        connections,
        allow_missing,
    }))
}

pub(super) fn limits(violations: &mut Violations, field: &str, wire: Option<TenantLimits>) -> Limits {
    let TenantLimits { requests_per_second, concurrent_requests, connections } = wire.unwrap_or_default();
    for (name, limit) in FIELDS.iter().zip([requests_per_second, concurrent_requests, connections]) {
        let field = format!("{field}{}", name.trim_start_matches("limits"));
        violations.check((0..=MAX_LIMIT).contains(&limit), &field, "must be 0 to 1,000,000");
    }
    Limits { requests_per_second, concurrent_requests, connections }
}

fn convert(row: plan::Model) -> Plan {
    Plan {
        limits: limits_shown(row.limits()),
        name: row.name,
        etag: row.revision.to_string(),
        create_time: Some(timestamp(row.created_at)),
        update_time: Some(timestamp(row.updated_at)),
    }
}

use std::sync::Arc;
use std::time::Duration;

use tenantry_api::migrator::v1 as wire;
use tenantry_api::migrator::v1::reconciliation_service_server::ReconciliationService;
use tenantry_api::migrator::v1::{FindingKind, RepairAction, RepairRequest, RepairState, SurveyReport, SurveyRequest};
use tenantry_rpc::{Call, Error, Violations};
use tonic::{Request, Response, Status};

use super::convert::timestamp;
use crate::app::App;
use crate::app::reconciliation::{self, Action, Finding, Kind, Order, Outcome, Report, Scope};
use crate::ident::Ident;

/// Names in one request.
const MOST_NAMES: usize = 100;
const MIN_AGE: Duration = Duration::from_secs(10 * 60);
const MOST_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(crate) struct ReconciliationGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl ReconciliationService for ReconciliationGrpc {
    async fn survey(&self, request: Request<SurveyRequest>) -> Result<Response<SurveyReport>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let scope = parse_scope(&mut violations, call.body.servers, call.body.min_age);
        violations.into_result()?;
        Ok(Response::new(convert(reconciliation::survey(&self.0, &scope).await?)))
    }

    async fn repair(&self, request: Request<RepairRequest>) -> Result<Response<SurveyReport>, Status> {
        let call = Call::open(request)?;
        let order = parse_order(call.body)?;
        Ok(Response::new(convert(reconciliation::repair(&self.0, &call.context, order).await?)))
    }
}

fn parse_scope(violations: &mut Violations, servers: Vec<String>, min_age: Option<prost_types::Duration>) -> Scope {
    violations.check(servers.len() <= MOST_NAMES, "servers", "must be at most 100");
    let min_age = match min_age.map(Duration::try_from) {
        None => MIN_AGE,
        Some(Ok(age)) if age <= MOST_AGE => age,
        Some(_) => {
            violations.add("min_age", "must be between nothing and 30 days");
            MIN_AGE
        }
    };
    Scope { servers, min_age }
}

fn parse_order(body: RepairRequest) -> Result<Order, Error> {
    let mut violations = Violations::new();
    let scope = parse_scope(&mut violations, body.servers, body.min_age);
    let mut kinds = Vec::new();
    for (at, number) in body.kinds.iter().enumerate() {
        match FindingKind::try_from(*number).ok().and_then(kind_of) {
            Some(kind) => kinds.push(kind),
            None => violations.add(format!("kinds[{at}]"), "must be a kind of finding"),
        }
    }
    let few = body.drop_databases.len() <= MOST_NAMES;
    violations.check(few, "drop_databases", "must be at most 100");
    let mut drop = Vec::new();
    for (at, named) in body.drop_databases.into_iter().take(MOST_NAMES).enumerate() {
        if let Err(error) = Ident::new(named.name.as_str()) {
            violations.add(format!("drop_databases[{at}].name"), error.to_string());
        }
        let among = scope.servers.is_empty() || scope.servers.contains(&named.server);
        violations.check(among, &format!("drop_databases[{at}].server"), "must be one of servers");
        drop.push((named.server, named.name));
    }
    violations.into_result()?;
    Ok(Order { scope, kinds, drop, force: body.force, validate_only: body.validate_only })
}

fn convert(report: Report) -> SurveyReport {
    let small = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    SurveyReport {
        finding_count: small(report.total),
        findings: report.findings.into_iter().map(finding).collect(),
        servers: report.servers,
        database_count: small(report.databases),
        role_count: small(report.roles),
        survey_time: Some(timestamp(report.at)),
    }
}

fn finding(finding: Finding) -> wire::Finding {
    let (state, error) = match finding.outcome {
        Outcome::Unasked => (RepairState::Unspecified, String::new()),
        Outcome::Planned => (RepairState::Planned, String::new()),
        Outcome::Done => (RepairState::Done, String::new()),
        Outcome::Gone => (RepairState::Gone, String::new()),
        Outcome::Failed(error) => (RepairState::Failed, error),
    };
    wire::Finding {
        kind: kind(finding.kind).into(),
        server: finding.server,
        name: finding.name,
        company_id: finding.company.map(|id| id.to_string()).unwrap_or_default(),
        since: finding.since.map(timestamp),
        detail: finding.detail,
        action: finding.action.map_or(RepairAction::Unspecified, action).into(),
        state: state.into(),
        error,
    }
}

fn action(action: Action) -> RepairAction {
    match action {
        Action::DropNamedDatabase => RepairAction::DropNamedDatabase,
        Action::DropRole => RepairAction::DropRole,
        Action::RestoreRole => RepairAction::RestoreRole,
        Action::DropLeftover => RepairAction::DropLeftover,
        Action::CloseClaim => RepairAction::CloseClaim,
        Action::DropSpare => RepairAction::DropSpare,
    }
}

/// Both ways from one list.
macro_rules! kinds {
    ($($kind:ident),+ $(,)?) => {
        fn kind(kind: Kind) -> FindingKind {
            match kind {
                $(Kind::$kind => FindingKind::$kind,)+
            }
        }

        fn kind_of(kind: FindingKind) -> Option<Kind> {
            match kind {
                FindingKind::Unspecified => None,
                $(FindingKind::$kind => Some(Kind::$kind),)+
            }
        }
    };
}

kinds!(
    ServerUnreachable,
    ServerNotConfigured,
    CatalogUnreachable,
    DatabaseWithoutCompany,
    DatabaseWithoutClaim,
    CompanyWithoutDatabase,
    ClaimWithoutCompany,
    DatabaseWithoutRole,
    HalfMadeRole,
    RoleWithoutDatabase,
    HalfMadeDatabase,
    SpareWithoutDatabase,
    StaleLease,
    Leftover,
    Unrecognized,
);

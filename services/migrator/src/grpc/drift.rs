use std::sync::Arc;

use tenantry_api::migrator::v1::drift_service_server::DriftService;
use tenantry_api::migrator::v1::{CheckDriftRequest, DriftChange, DriftFinding, DriftObjectKind, DriftReport};
use tenantry_migration::{Difference, Finding, ObjectKind};
use tenantry_rpc::{Call, parse_field};
use tonic::{Request, Response, Status};

use super::convert::timestamp;
use crate::app::App;
use crate::app::drift::{self, Report};

/// As the contract says.
const MOST_FINDINGS: usize = 200;
const MOST_CHARACTERS: usize = 4000;

pub(crate) struct DriftGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl DriftService for DriftGrpc {
    async fn check_drift(&self, request: Request<CheckDriftRequest>) -> Result<Response<DriftReport>, Status> {
        let call = Call::open(request)?;
        let company = parse_field("company_id", &call.body.company_id)?;
        let report = drift::check(&self.0, &call.context, company).await?;
        Ok(Response::new(convert(report)))
    }
}

fn convert(report: Report) -> DriftReport {
    DriftReport {
        database_id: report.claim.database_id.to_string(),
        company_id: report.claim.company_id.to_string(),
        server: report.claim.server,
        name: report.claim.name,
        set: report.set.to_owned(),
        schema_version: report.version.unwrap_or_default(),
        check_time: Some(timestamp(report.checked_at)),
        in_sync: report.findings.is_empty(),
        finding_count: i32::try_from(report.findings.len()).unwrap_or(i32::MAX),
        findings: report.findings.into_iter().take(MOST_FINDINGS).map(finding).collect(),
    }
}

fn finding(finding: Finding) -> DriftFinding {
    let (change, expected, actual) = match finding.difference {
        Difference::Missing { expected } => (DriftChange::Missing, expected, String::new()),
        Difference::Unexpected { actual } => (DriftChange::Unexpected, String::new(), actual),
        Difference::Changed { expected, actual } => (DriftChange::Changed, expected, actual),
    };
    DriftFinding {
        change: change.into(),
        kind: kind(finding.kind).into(),
        name: finding.name,
        expected: shortened(expected),
        actual: shortened(actual),
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

fn kind(kind: ObjectKind) -> DriftObjectKind {
    match kind {
        ObjectKind::Database => DriftObjectKind::Database,
        ObjectKind::Role => DriftObjectKind::Role,
        ObjectKind::Schema => DriftObjectKind::Schema,
        ObjectKind::Extension => DriftObjectKind::Extension,
        ObjectKind::Type => DriftObjectKind::Type,
        ObjectKind::Table => DriftObjectKind::Table,
        ObjectKind::Column => DriftObjectKind::Column,
        ObjectKind::ColumnOrder => DriftObjectKind::ColumnOrder,
        ObjectKind::Constraint => DriftObjectKind::Constraint,
        ObjectKind::Index => DriftObjectKind::Index,
        ObjectKind::Sequence => DriftObjectKind::Sequence,
        ObjectKind::View => DriftObjectKind::View,
        ObjectKind::Function => DriftObjectKind::Function,
        ObjectKind::Trigger => DriftObjectKind::Trigger,
        ObjectKind::Rule => DriftObjectKind::Rule,
        ObjectKind::Policy => DriftObjectKind::Policy,
        ObjectKind::Statistics => DriftObjectKind::Statistics,
        ObjectKind::Event => DriftObjectKind::Event,
        ObjectKind::Owner => DriftObjectKind::Owner,
        ObjectKind::Grant => DriftObjectKind::Grant,
        ObjectKind::DefaultGrant => DriftObjectKind::DefaultGrant,
    }
}

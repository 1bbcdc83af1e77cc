//! Rows into messages.

use chrono::{DateTime, Datelike, Utc};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Timestamp};
use serde_json::Value as Json;
use tenantry_api::catalog::v1::{
    Company, CompanyState, InstalledTenantPlugin, ProvisioningStep, RotateDatabaseCredentialResponse, StepState,
    TenantLimits,
};
use tenantry_rpc::Violations;

use crate::app::companies::CompanyView;
use crate::app::rotation::Rotated;
use crate::domain::{Labels, Limits};
use crate::store::entities::{company, company_plugin, provisioning_step};

pub(crate) fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: time.timestamp(), nanos: time.timestamp_subsec_nanos().cast_signed() }
}

/// A time of a request, if there is one.
pub(crate) fn time_of(violations: &mut Violations, field: &str, time: Option<Timestamp>) -> Option<DateTime<Utc>> {
    let time = time?;
    let nanos = u32::try_from(time.nanos).ok();
    let known =
        nanos.and_then(|nanos| DateTime::from_timestamp(time.seconds, nanos)).filter(is_written_with_four_digits);
    violations.check(known.is_some(), field, "must be a time from the years 1 to 9999");
    known
}

/// As protobuf's own times; no database of ours takes others.
fn is_written_with_four_digits(time: &DateTime<Utc>) -> bool {
    (1..=9999).contains(&time.year())
}

/// JSON as a message. What is no object becomes an empty one.
pub(crate) fn structure(json: Json) -> Struct {
    match json {
        Json::Object(fields) => {
            Struct { fields: fields.into_iter().map(|(key, value)| (key, value_of(value))).collect() }
        }
        _ => Struct::default(),
    }
}

fn value_of(json: Json) -> prost_types::Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Json::String(text) => Kind::StringValue(text),
        Json::Array(values) => Kind::ListValue(ListValue { values: values.into_iter().map(value_of).collect() }),
        Json::Object(_) => Kind::StructValue(structure(json)),
    };
    prost_types::Value { kind: Some(kind) }
}

/// Not set where there is none.
pub(crate) fn limits_shown(limits: Limits) -> Option<TenantLimits> {
    let Limits { requests_per_second, concurrent_requests, connections } = limits;
    (limits != Limits::default()).then_some(TenantLimits { requests_per_second, concurrent_requests, connections })
}

/// Those that a company can be served by.
pub(crate) fn installed_plugins(rows: Option<Vec<company_plugin::Model>>) -> Vec<InstalledTenantPlugin> {
    let installed = rows.unwrap_or_default().into_iter();
    let named = |row: company_plugin::Model| InstalledTenantPlugin {
        name: row.plugin,
        schema_version: row.schema_version.unwrap_or_default(),
    };
    installed.map(named).collect()
}

pub(crate) fn company_state(state: company::State) -> CompanyState {
    match state {
        company::State::Provisioning => CompanyState::Provisioning,
        company::State::Active => CompanyState::Active,
        company::State::Suspended => CompanyState::Suspended,
        company::State::Maintenance => CompanyState::Maintenance,
        company::State::Failed => CompanyState::Failed,
        company::State::Deleted => CompanyState::Deleted,
        company::State::Purged => CompanyState::Purged,
    }
}

/// A company as its own people see it.
pub(crate) fn company(row: company::Model) -> Company {
    let slug = visible_slug(&row).to_owned();
    Company {
        id: row.id.to_string(),
        name: row.name,
        slug,
        state: company_state(row.state).into(),
        state_reason: row.state_reason.unwrap_or_default(),
        create_time: Some(timestamp(row.created_at)),
        update_time: Some(timestamp(row.updated_at)),
        etag: row.revision.to_string(),
        plan: row.plan.unwrap_or_default(),
        region: row.region.unwrap_or_default(),
        maintenance_retry_seconds: row.maintenance_retry_s.unwrap_or_default(),
        ..Default::default()
    }
}

/// A purged company has given its slug up; what stands in the row is no slug.
pub(crate) fn visible_slug(row: &company::Model) -> &str {
    if row.state == company::State::Purged { "" } else { &row.slug }
}

/// A company as operators see it.
pub(crate) fn company_for_operator(view: CompanyView) -> Company {
    let (database_server, schema_version) =
        view.database.map(|row| (row.server, row.schema_version.unwrap_or_default())).unwrap_or_default();
    Company {
        provisioning_steps: view.steps.into_iter().map(step).collect(),
        labels: Labels::from_json(&view.company.labels).into_map(),
        database_server,
        schema_version,
        purge_time: view.company.purge_at.map(timestamp),
        limits: limits_shown(view.company.own_limits()),
        effective_limits: limits_shown(view.limits),
        ..company(view.company)
    }
}

pub(crate) fn rotated_credential(rotated: Rotated) -> RotateDatabaseCredentialResponse {
    RotateDatabaseCredentialResponse {
        company_id: rotated.company.to_string(),
        placement_generation: rotated.generation,
        former_lock_time: rotated.former_lock_at.map(timestamp),
    }
}

/// The state that a message names; `None` for what is none.
pub(crate) fn state_of(wire: i32) -> Option<company::State> {
    match CompanyState::try_from(wire).ok()? {
        CompanyState::Unspecified => None,
        CompanyState::Provisioning => Some(company::State::Provisioning),
        CompanyState::Active => Some(company::State::Active),
        CompanyState::Suspended => Some(company::State::Suspended),
        CompanyState::Maintenance => Some(company::State::Maintenance),
        CompanyState::Failed => Some(company::State::Failed),
        CompanyState::Deleted => Some(company::State::Deleted),
        CompanyState::Purged => Some(company::State::Purged),
    }
}

fn step(row: provisioning_step::Model) -> ProvisioningStep {
    let state = match row.state {
        provisioning_step::State::Pending => StepState::Pending,
        provisioning_step::State::Running => StepState::Running,
        provisioning_step::State::Done => StepState::Done,
        provisioning_step::State::Failed => StepState::Failed,
    };
    ProvisioningStep {
        name: row.name,
        state: state.into(),
        attempts: row.attempts,
        last_error: row.last_error.unwrap_or_default(),
        start_time: row.started_at.map(timestamp),
        end_time: row.finished_at.map(timestamp),
    }
}

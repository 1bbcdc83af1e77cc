//! Rows into messages.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use tenantry_api::catalog::v1::{Company, CompanyState, ProvisioningStep, StepState};

use crate::app::companies::CompanyView;
use crate::store::entities::{company, provisioning_step};

pub(crate) fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: time.timestamp(), nanos: time.timestamp_subsec_nanos().cast_signed() }
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

/// A company without its steps, as its own people see it.
pub(crate) fn company(row: company::Model) -> Company {
    Company {
        id: row.id.to_string(),
        name: row.name,
        slug: row.slug,
        state: company_state(row.state).into(),
        state_reason: row.state_reason.unwrap_or_default(),
        create_time: Some(timestamp(row.created_at)),
        update_time: Some(timestamp(row.updated_at)),
        etag: row.revision.to_string(),
        provisioning_steps: Vec::new(),
    }
}

/// A company with its steps, as operators see it.
pub(crate) fn company_with_steps(view: CompanyView) -> Company {
    let provisioning_steps = view.steps.into_iter().map(step).collect();
    Company { provisioning_steps, ..company(view.company) }
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

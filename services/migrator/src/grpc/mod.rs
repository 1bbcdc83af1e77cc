//! The gRPC face: each handler parses, calls a use case, and converts.

mod convert;
mod databases;
mod drift;
mod migrations;
mod reconciliation;
mod rollout_requests;
mod rollouts;

pub(crate) use databases::TenantDatabaseGrpc;
pub(crate) use drift::DriftGrpc;
pub(crate) use migrations::MigrationGrpc;
pub(crate) use reconciliation::ReconciliationGrpc;
pub(crate) use rollouts::RolloutGrpc;

//! What several messages are made of.

use std::time::Duration;

use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use tenantry_api::migrator::v1::{MigrationDirection, PlannedMigration};
use tenantry_migration::{Direction, Kind, PlannedStep};

pub(crate) fn timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }
}

pub(crate) fn duration(length: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: length.subsec_nanos().cast_signed() }
}

pub(crate) fn milliseconds(length: i64) -> prost_types::Duration {
    duration(Duration::from_millis(length.max(0).unsigned_abs()))
}

pub(crate) fn direction(direction: Direction) -> i32 {
    match direction {
        Direction::Up => MigrationDirection::Up,
        Direction::Down => MigrationDirection::Down,
    }
    .into()
}

pub(crate) fn planned(step: PlannedStep, tried: bool) -> PlannedMigration {
    PlannedMigration {
        direction: direction(step.direction),
        version: step.version,
        checksum: step.checksum,
        statements: step.statements,
        code: step.kind == Kind::Code,
        transactional: step.transactional,
        irreversible_reason: step.irreversible.unwrap_or_default().to_owned(),
        tried,
    }
}

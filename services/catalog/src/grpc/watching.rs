//! What `WatchTenants` tells, as messages.

use std::str::FromStr;

use tenantry_api::catalog::v1::watch_tenants_response::Event as Wire;
use tenantry_api::catalog::v1::{
    Revocation, TenantChange, WatchHeartbeat, WatchResync, WatchStart, WatchTenantsResponse,
};

use super::convert::{company_state, timestamp};
use crate::app::changes::{Event, Message, News, Revoked, TenantNow};

/// What cursors begin with: another form of them will have another letter.
const FORM: &str = "c";

/// A place in the stream, as callers have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor(pub(super) i64);

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{FORM}{}", self.0)
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let position = text.strip_prefix(FORM).and_then(|position| position.parse::<u64>().ok());
        position.and_then(|position| i64::try_from(position).ok()).map(Self).ok_or("must be a cursor of this stream")
    }
}

pub(super) fn watched(message: Message) -> WatchTenantsResponse {
    let event = match message.event {
        Event::Start { heartbeat, revocations_kept } => Wire::Start(WatchStart {
            heartbeat_interval_ms: i64::try_from(heartbeat.as_millis()).unwrap_or(i64::MAX),
            revocations_kept_seconds: revocations_kept.as_secs().cast_signed(),
        }),
        Event::News(News::Tenant(now)) => Wire::Tenant(tenant(now)),
        Event::News(News::Revoked(revoked)) => Wire::Revocation(revocation(revoked)),
        Event::Heartbeat => Wire::Heartbeat(WatchHeartbeat {}),
        Event::Resync => Wire::Resync(WatchResync {}),
    };
    let cursor = message.position.map(|position| Cursor(position).to_string()).unwrap_or_default();
    WatchTenantsResponse { cursor, event: Some(event) }
}

fn tenant(now: TenantNow) -> TenantChange {
    TenantChange {
        company_id: now.company.to_string(),
        state: company_state(now.state).into(),
        access_epoch: now.access_epoch,
        placement_generation: now.generation,
        schema_version: now.schema_version,
        maintenance_retry_seconds: now.maintenance_retry_s,
    }
}

fn revocation(revoked: Revoked) -> Revocation {
    Revocation {
        company_id: revoked.company.to_string(),
        subject: revoked.subject,
        issued_before: Some(timestamp(revoked.issued_before)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is_one() {
        for position in [0, 1, i64::MAX] {
            assert_eq!(Cursor(position).to_string().parse(), Ok(Cursor(position)));
        }
        for bad in ["", "c", "c-1", "1", "d1", "c1 ", "c9223372036854775808"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}

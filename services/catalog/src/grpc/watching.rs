//! What `WatchTenants` tells, as messages.

use tenantry_api::catalog::v1::watch_tenants_response::Event as Wire;
use tenantry_api::catalog::v1::{
    Revocation, TenantChange, WatchHeartbeat, WatchResync, WatchStart, WatchTenantsResponse,
};

use super::convert::{company_state, installed_plugins, limits_shown, timestamp};
use super::cursor::Cursor;
use crate::app::changes::{Event, Message, News, Revoked, TenantNow};

/// A place in the stream of tenants.
pub(super) type TenantCursor = Cursor<'c'>;

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
    let cursor = message.position.map(|position| TenantCursor::to_string(&Cursor(position))).unwrap_or_default();
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
        limits: limits_shown(now.limits),
        plugins: installed_plugins(Some(now.plugins)),
    }
}

fn revocation(revoked: Revoked) -> Revocation {
    Revocation {
        company_id: revoked.company.to_string(),
        subject: revoked.subject,
        issued_before: Some(timestamp(revoked.issued_before)),
    }
}

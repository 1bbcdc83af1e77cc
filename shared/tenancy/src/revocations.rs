//! Tokens that are refused although their time is not over.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tenantry_ids::CompanyId;
use tenantry_rpc::UserClaims;
use tenantry_rpc::auth::Revocable;
use tokio::time::Instant;

/// How often those that no token can be about any more are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The revocations that are in force. One a user or session, and company, so that there are no more of them than the directory
/// keeps; none is ever left out to save room, since that would let a revoked token in.
#[derive(Debug, Default)]
pub struct Revocations(RwLock<Noted>);

#[derive(Debug, Default)]
struct Noted {
    by_subject: HashMap<(CompanyId, Revocable), Revoked>,
    swept: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Revoked {
    /// In seconds since 1970.
    issued_before: i64,
    forget_at: Instant,
}

impl Revocations {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the token was revoked.
    pub fn refuse(&self, claims: &UserClaims) -> bool {
        claims.revocables().any(|subject| self.revoked(claims.tenant(), subject, claims.issued_at()))
    }

    /// Refuses, for so long, the subject's tokens for the tenant that were issued before, in seconds since 1970.
    pub(crate) fn note(&self, tenant: CompanyId, subject: Revocable, issued_before: i64, keep: Duration) {
        let now = Instant::now();
        let mut noted = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if noted.swept.is_none_or(|swept| now >= swept + SWEEP_EVERY) {
            noted.by_subject.retain(|_, revoked| now < revoked.forget_at);
            noted.swept = Some(now);
        }
        let revoked = noted.by_subject.entry((tenant, subject)).or_insert(Revoked { issued_before, forget_at: now });
        revoked.issued_before = revoked.issued_before.max(issued_before);
        revoked.forget_at = now + keep;
    }

    fn revoked(&self, tenant: CompanyId, subject: Revocable, issued_at: i64) -> bool {
        let noted = self.0.read().unwrap_or_else(PoisonError::into_inner);
        noted.by_subject.get(&(tenant, subject)).is_some_and(|revoked| issued_at < revoked.issued_before)
    }
}

#[cfg(test)]
mod tests {
    use tenantry_ids::{SessionId, SystemIds, UserId};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_from_before_is_refused_and_no_other() {
        let (tenant, other) = (CompanyId::new(&SystemIds), CompanyId::new(&SystemIds));
        let user = Revocable::User(UserId::new(&SystemIds));
        let somebody = Revocable::Session(SessionId::new(&SystemIds));
        let revocations = Revocations::new();
        revocations.note(tenant, user, 100, Duration::from_secs(900));
        assert!(revocations.revoked(tenant, user, 99));
        assert!(!revocations.revoked(tenant, user, 100));
        assert!(!revocations.revoked(other, user, 99) && !revocations.revoked(tenant, somebody, 99));
        // One that comes again, or late, takes nothing back.
        revocations.note(tenant, user, 90, Duration::from_secs(900));
        assert!(revocations.revoked(tenant, user, 99));
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_token_can_be_about_is_forgotten() {
        let revocations = Revocations::new();
        let tenant = CompanyId::new(&SystemIds);
        for _ in 0..10 {
            revocations.note(tenant, Revocable::User(UserId::new(&SystemIds)), 100, Duration::from_secs(900));
        }
        tokio::time::advance(Duration::from_secs(900)).await;
        revocations.note(tenant, Revocable::User(UserId::new(&SystemIds)), 100, Duration::from_secs(900));
        assert_eq!(revocations.0.read().unwrap().by_subject.len(), 1);
    }
}

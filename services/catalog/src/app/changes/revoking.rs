//! Tokens that are refused although their time is not over.

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use tenantry_ids::CompanyId;
use tenantry_rpc::auth::Revocable;

use crate::store::{CentralTx, StoreError, changes as store};

/// Revokes every token that a user or a session has for a company at this moment.
///
/// Tokens are dated to the second, so the ones of this very second are among them, and a token that is issued right
/// after this is dated to the time that is noted here ([`issued_at`](super::revoked_before)). The caller holds the
/// user's lock ([`lock_user`](crate::store::people::lock_user)) from before `now`, so that no sign-in that has seen
/// the world from before can issue one afterwards.
pub(crate) async fn revoke(
    tx: &CentralTx,
    company: CompanyId,
    subject: Revocable,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let earlier = revoked_before(tx, company, [subject]).await?;
    store::revoke(tx, company, (subject.to_string(), next_second(now, earlier)), now).await
}

/// The time from which on tokens of these for a company are accepted, if any were revoked.
pub(crate) async fn revoked_before(
    db: &impl crate::store::CentralConnection,
    company: CompanyId,
    subjects: impl IntoIterator<Item = Revocable>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    store::revoked_before(db, company, subjects.into_iter().map(|subject| subject.to_string())).await
}

/// The first whole second that no token of now is dated to, even one that is dated ahead to an earlier revocation.
fn next_second(now: DateTime<Utc>, earlier: Option<DateTime<Utc>>) -> DateTime<Utc> {
    let second = now.with_nanosecond(0).unwrap_or(now);
    earlier.map_or(second, |earlier| earlier.max(second)) + TimeDelta::seconds(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_the_same_second_is_revoked_and_the_one_after_it_too() {
        let at = |second: i64, nanos| DateTime::from_timestamp(1_800_000_000 + second, nanos).expect("a time");
        assert_eq!(next_second(at(0, 0), None), at(1, 0));
        assert_eq!(next_second(at(0, 999_999_000), None), at(1, 0));
        // A token that was issued after the first is dated to second 1.
        assert_eq!(next_second(at(0, 999_999_000), Some(at(1, 0))), at(2, 0));
        assert_eq!(next_second(at(9, 5), Some(at(2, 0))), at(10, 0));
    }
}

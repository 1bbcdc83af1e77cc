//! A repeated request finds the first one's effect.

use chrono::{DateTime, Utc};
use sea_orm::DbErr;
use tenantry_idempotency::{Fingerprint, IdempotencyError, Key};
use tenantry_ids::CompanyId;
use tenantry_rpc::{Context, Error, Reason, Violations};
use uuid::Uuid;

use crate::store::{CentralConnection, StoreError};

/// A request that may be a repetition.
pub(crate) struct Replayable {
    key: Option<Key>,
    fingerprint: Fingerprint,
}

impl Replayable {
    /// With the caller's `request_id`; empty means that the caller does not care.
    pub(crate) fn parse(
        violations: &mut Violations,
        context: &Context,
        request_id: &str,
        fingerprint: Fingerprint,
    ) -> Self {
        let key = (!request_id.is_empty()).then(|| Key {
            caller: context.caller().subject(),
            method: context.method().to_owned(),
            request_id: request_id.to_ascii_lowercase(),
        });
        violations.check(
            key.is_none() || Uuid::try_parse(request_id).is_ok(),
            "request_id",
            "must be a UUID, or empty",
        );
        Self { key, fingerprint }
    }

    /// The company that the first request of this id made.
    pub(crate) async fn earlier(
        &self,
        db: &impl CentralConnection,
        now: DateTime<Utc>,
    ) -> Result<Option<CompanyId>, Error> {
        Ok(self.earlier_id(db, now).await?.map(CompanyId))
    }

    /// What the first request of this id made.
    pub(crate) async fn earlier_id(
        &self,
        db: &impl CentralConnection,
        now: DateTime<Utc>,
    ) -> Result<Option<Uuid>, Error> {
        let Some(key) = &self.key else { return Ok(None) };
        match tenantry_idempotency::find(db.raw(), key, &self.fingerprint, now).await {
            Ok(found) => Ok(found.and_then(|bytes| Uuid::from_slice(&bytes).ok())),
            Err(IdempotencyError::Reused) => {
                Err(Error::new(Reason::RequestIdReused, "this request_id came before with another body; use a new one"))
            }
            Err(error) => Err(store_error(error).into()),
        }
    }

    /// Notes what this request makes.
    pub(crate) async fn record(
        &self,
        db: &impl CentralConnection,
        made: impl Into<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let Some(key) = self.key.clone() else { return Ok(()) };
        let response = made.into().as_bytes().to_vec();
        let recorded = tenantry_idempotency::record(db.raw(), key, self.fingerprint.clone(), response, now).await;
        recorded.map_err(store_error)
    }
}

fn store_error(error: IdempotencyError) -> StoreError {
    match error {
        IdempotencyError::Database(error) => error.into(),
        IdempotencyError::UnderWay | IdempotencyError::Reused => {
            StoreError::Taken(DbErr::Custom("the request id is taken".to_owned()))
        }
    }
}

//! Repeated calls, made harmless (AIP-155).
//!
//! A call that is not idempotent carries a `request_id`. Its key is (caller,
//! method, id), kept for [`KEPT`] in the table `idempotency_keys`, which is in
//! the central database and in every tenant's. The row is written in the same
//! transaction as the effect, so one is there exactly when the other is.

use chrono::{DateTime, Duration, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, DeleteMany, SqlErr};

/// For how long a repeated call gets the first one's answer.
pub const KEPT: Duration = Duration::hours(24);

/// What makes two calls the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Who calls, as `Caller::subject` writes it.
    pub caller: String,
    /// The RPC's path.
    pub method: String,
    /// The caller's id of the request.
    pub request_id: String,
}

/// A digest of a request's body, to tell a repetition from a reuse of its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Of a body without secrets.
    pub fn of(body: &[u8]) -> Self {
        Self(hex(ring::digest::digest(&ring::digest::SHA256, body).as_ref()))
    }

    /// 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of a body with a secret in it, such as a password, which a plain digest
    /// would let a reader of the table guess.
    pub fn keyed(key: &ring::hmac::Key, body: &[u8]) -> Self {
        Self(hex(ring::hmac::sign(key, body).as_ref()))
    }
}

/// Why a call cannot be repeated, or not begun.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    /// The id came before with another body.
    #[error("the request id was used with another body")]
    Reused,
    /// The same call is being made at this moment.
    #[error("the same request is under way")]
    UnderWay,
    /// The database.
    #[error("the idempotency keys cannot be read or written")]
    Database(#[from] DbErr),
}

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "idempotency_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub caller: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub method: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub request_id: String,
        pub fingerprint: String,
        pub response: Vec<u8>,
        pub created_at: DateTime<Utc>,
        pub expires_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// What the first call left, if there was one: its answer, or what the answer is
/// made from. Never a secret.
pub async fn find(
    db: &impl ConnectionTrait,
    key: &Key,
    fingerprint: &Fingerprint,
    now: DateTime<Utc>,
) -> Result<Option<Vec<u8>>, IdempotencyError> {
    let id = (key.caller.clone(), key.method.clone(), key.request_id.clone());
    match row::Entity::find_by_id(id).one(db).await? {
        Some(row) if row.expires_at <= now => {
            // By its expiry too: a repetition may have put a new row there since.
            of_key(row::Entity::delete_many(), key).filter(row::Column::ExpiresAt.lte(now)).exec(db).await?;
            Ok(None)
        }
        Some(row) if row.fingerprint == fingerprint.0 => Ok(Some(row.response)),
        Some(_) => Err(IdempotencyError::Reused),
        None => Ok(None),
    }
}

/// Notes the call, within the transaction of its effect. `UnderWay` when another
/// transaction noted the same call meanwhile: roll back and begin anew.
///
/// About one call in 256 also removes what has expired, so that no database
/// needs a sweeper of its own.
pub async fn record(
    db: &impl ConnectionTrait,
    key: Key,
    fingerprint: Fingerprint,
    response: Vec<u8>,
    now: DateTime<Utc>,
) -> Result<(), IdempotencyError> {
    if key.request_id.ends_with("00") {
        remove_expired(db, now).await?;
    }
    let row = row::ActiveModel {
        caller: Set(key.caller),
        method: Set(key.method),
        request_id: Set(key.request_id),
        fingerprint: Set(fingerprint.0),
        response: Set(response),
        created_at: Set(now),
        expires_at: Set(now + KEPT),
    };
    match row::Entity::insert(row).exec_without_returning(db).await {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
            Err(IdempotencyError::UnderWay)
        }
        Err(error) => Err(error.into()),
    }
}

async fn remove_expired(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<(), DbErr> {
    row::Entity::delete_many().filter(row::Column::ExpiresAt.lte(now)).exec(db).await.map(drop)
}

fn of_key(delete: DeleteMany<row::Entity>, key: &Key) -> DeleteMany<row::Entity> {
    delete
        .filter(row::Column::Caller.eq(key.caller.as_str()))
        .filter(row::Column::Method.eq(key.method.as_str()))
        .filter(row::Column::RequestId.eq(key.request_id.as_str()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

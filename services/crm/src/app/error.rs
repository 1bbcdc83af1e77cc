use sea_orm::DbErr;
use tenantry_idempotency::IdempotencyError;
use tenantry_rpc::{Error, Reason};
use tenantry_tenancy::{Retryable, TenancyError};

/// Why a use case did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CrmError {
    #[error("there is no such person")]
    PersonNotFound,
    #[error("the person has changed since it was read")]
    EtagMismatch,
    #[error("the request id came before with another body")]
    RequestIdReused,
    /// The same request is being made at this moment: run again, and find it done.
    #[error("the same request is under way")]
    RequestUnderWay,
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
    /// A bug, such as a user's call without a user.
    #[error(transparent)]
    Rpc(#[from] Error),
}

impl From<DbErr> for CrmError {
    fn from(error: DbErr) -> Self {
        Self::Tenancy(error.into())
    }
}

impl From<IdempotencyError> for CrmError {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::Reused => Self::RequestIdReused,
            IdempotencyError::UnderWay => Self::RequestUnderWay,
            IdempotencyError::Database(error) => error.into(),
        }
    }
}

impl Retryable for CrmError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::RequestUnderWay => true,
            Self::Tenancy(error) => error.is_retryable(),
            Self::PersonNotFound | Self::EtagMismatch | Self::RequestIdReused | Self::Rpc(_) => false,
        }
    }
}

impl From<CrmError> for Error {
    fn from(error: CrmError) -> Self {
        match error {
            CrmError::PersonNotFound => Error::new(Reason::PersonNotFound, "there is no such person in the company"),
            CrmError::EtagMismatch => {
                Error::new(Reason::EtagMismatch, "the person has changed since it was read; read it again")
            }
            CrmError::RequestIdReused => {
                Error::new(Reason::RequestIdReused, "this request_id came before with another body; use a new one")
            }
            CrmError::RequestUnderWay => Error::new(Reason::Overloaded, "the same request is under way; repeat it")
                .retry_after(std::time::Duration::from_millis(100)),
            CrmError::Tenancy(error) => error.into(),
            CrmError::Rpc(error) => error,
        }
    }
}

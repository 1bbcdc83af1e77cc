use sea_orm::{DbErr, SqlErr};
use tenantry_idempotency::IdempotencyError;
use tenantry_rpc::{Error, Reason};
use tenantry_tenancy::{Retryable, TenancyError};

use crate::domain::Thing;

/// Why a use case did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CrmError {
    #[error("there is no such {}", .0.noun())]
    NotFound(Thing),
    #[error("the {} has changed since it was read", .0.noun())]
    EtagMismatch(Thing),
    #[error("another {} has the name", .0.noun())]
    NameTaken(Thing),
    #[error("the manufacturer has another device of the serial number")]
    SerialTaken,
    #[error("the external id came before with another body")]
    ExternalIdReused,
    #[error("what is to be paid is in another currency")]
    CurrencyMismatch,
    #[error("a balance would be more than can be counted")]
    AmountOverflow,
    #[error("it is no payment, or was refunded already")]
    NotRefundable,
    #[error("the sale has ended")]
    SaleCancelled,
    #[error("somebody has taken the message since")]
    LeaseLost,
    #[error("the company has not installed the plugin {0}")]
    PluginNotInstalled(&'static str),
    #[error("the {} is in use: {by}", .thing.noun())]
    InUse { thing: Thing, by: &'static str },
    #[error("the person would have no primary address")]
    PrimaryAddressRequired,
    #[error("the request id came before with another body")]
    RequestIdReused,
    /// The same request is being made at this moment: run again, and find it done.
    #[error("the same request is under way")]
    RequestUnderWay,
    /// Somebody else added or removed at this moment what was looked for before: run again, and see.
    #[error("the change collided with another")]
    Collided(#[source] DbErr),
    #[error("the tenant's schema has no search yet")]
    SchemaTooOld,
    #[error("people are being made findable")]
    IndexUnderWay,
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
    /// A field that only the database can judge, or a bug, such as a user's call without a user.
    #[error(transparent)]
    Rpc(#[from] Error),
}

impl From<DbErr> for CrmError {
    fn from(error: DbErr) -> Self {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_) | SqlErr::ForeignKeyConstraintViolation(_)) => {
                Self::Collided(error)
            }
            _ => Self::Tenancy(error.into()),
        }
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
            Self::RequestUnderWay | Self::Collided(_) => true,
            Self::Tenancy(error) => error.is_retryable(),
            Self::NotFound(_)
            | Self::EtagMismatch(_)
            | Self::NameTaken(_)
            | Self::SerialTaken
            | Self::ExternalIdReused
            | Self::CurrencyMismatch
            | Self::AmountOverflow
            | Self::NotRefundable
            | Self::SaleCancelled
            | Self::LeaseLost
            | Self::PluginNotInstalled(_)
            | Self::InUse { .. }
            | Self::PrimaryAddressRequired
            | Self::SchemaTooOld
            | Self::IndexUnderWay
            | Self::RequestIdReused
            | Self::Rpc(_) => false,
        }
    }
}

impl From<CrmError> for Error {
    fn from(error: CrmError) -> Self {
        match error {
            CrmError::NotFound(thing) => {
                Error::new(thing.not_found(), format!("there is no such {} in the company", thing.noun()))
            }
            CrmError::EtagMismatch(thing) => {
                let message = format!("the {} has changed since it was read; read it again", thing.noun());
                Error::new(Reason::EtagMismatch, message)
            }
            CrmError::NameTaken(thing) => {
                Error::new(Reason::NameTaken, format!("another {} has this name; take another", thing.noun()))
            }
            CrmError::SerialTaken => {
                Error::new(Reason::SerialTaken, "the manufacturer has another device of this serial number")
            }
            CrmError::ExternalIdReused => {
                let message = "this external_id of the provider's came before with another body; use its own";
                Error::new(Reason::ExternalIdReused, message)
            }
            CrmError::CurrencyMismatch => {
                Error::new(Reason::CurrencyMismatch, "what is to be paid is in another currency; pay in that one")
            }
            CrmError::AmountOverflow => {
                Error::new(Reason::AmountOverflow, "a balance of the person would be more than can be counted")
            }
            CrmError::NotRefundable => {
                let message = "only a payment can be refunded, only once, and not when it paid a sale that has ended";
                Error::new(Reason::NotRefundable, message)
            }
            CrmError::SaleCancelled => {
                Error::new(Reason::SaleCancelled, "the sale has ended; name the person, and it becomes their credit")
            }
            CrmError::LeaseLost => {
                Error::new(Reason::LeaseLost, "somebody has taken the message since; drop it, and lease others")
            }
            CrmError::PluginNotInstalled(plugin) => {
                let message = format!("the company has not installed the plugin {plugin}; one of its admins can");
                Error::new(Reason::PluginNotInstalled, message).with("plugin", plugin)
            }
            CrmError::InUse { thing, by } => {
                let message =
                    format!("the {} cannot be removed: there are {by}; remove or change those first", thing.noun());
                Error::new(Reason::InUse, message)
            }
            CrmError::PrimaryAddressRequired => {
                let message = "a person with addresses has a primary one; make another one primary instead";
                Error::new(Reason::PrimaryAddressRequired, message)
            }
            CrmError::RequestIdReused => {
                Error::new(Reason::RequestIdReused, "this request_id came before with another body; use a new one")
            }
            CrmError::RequestUnderWay => overloaded("the same request is under way; repeat it"),
            CrmError::SchemaTooOld => {
                let message =
                    "the company's database is not yet of the version that this takes; try again after the rollout";
                Error::new(Reason::SchemaTooOld, message)
            }
            CrmError::IndexUnderWay => overloaded("people are being made findable; repeat the call"),
            CrmError::Collided(error) => {
                overloaded("others are changing the same things at this moment; repeat the call").caused_by(error)
            }
            CrmError::Tenancy(error) => error.into(),
            CrmError::Rpc(error) => error,
        }
    }
}

fn overloaded(message: &'static str) -> Error {
    Error::new(Reason::Overloaded, message).retry_after(std::time::Duration::from_millis(100))
}

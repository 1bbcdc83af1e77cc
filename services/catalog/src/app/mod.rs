//! The use cases, one async function each. A use case owns its transaction.

mod adoption;
pub(crate) mod api_keys;
mod attempt;
pub(crate) mod changes;
pub(crate) mod companies;
pub(crate) mod directory;
pub(crate) mod event_log;
pub(crate) mod exchange;
pub(crate) mod fleet;
pub(crate) mod hooks;
pub(crate) mod issuers;
pub(crate) mod keys;
pub(crate) mod lifecycle;
mod log;
pub(crate) mod members;
pub(crate) mod operators;
pub(crate) mod password_resets;
pub(crate) mod passwords;
mod placement;
pub(crate) mod plans;
pub(crate) mod plugins;
pub(crate) mod provisioning;
pub(crate) mod replay;
pub(crate) mod rotation;
pub(crate) mod servers;
pub(crate) mod sessions;
pub(crate) mod standing;
pub(crate) mod sweeping;
pub(crate) mod throttle;
pub(crate) mod tokens;
pub(crate) mod updates;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tenantry_ids::IdSource;
use tenantry_rpc::auth::KeyCache;
use tenantry_rpc::{Clock, Error, Reason, Shutdown};
use tokio_util::task::TaskTracker;

use crate::app::changes::Changes;
use crate::app::event_log::EventLog;
use crate::app::hooks::Hooks;
use crate::app::issuers::IssuerKeys;
use crate::app::keys::Keyring;
use crate::app::provisioning::{MigratorClient, Progress};
use crate::app::sessions::SessionSettings;
use crate::app::throttle::ThrottleSettings;
use crate::domain::TenantServices;
use crate::secrets::{PasswordError, Passwords, RandomError, SealError, Sealer};
use crate::store::CentralDb;

/// What use cases work with.
pub(crate) struct App {
    pub(crate) db: CentralDb,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) sealer: Sealer,
    pub(crate) passwords: Passwords,
    pub(crate) keyring: Arc<Keyring>,
    /// The public halves, as this process verifies with them.
    pub(crate) token_keys: Arc<KeyCache>,
    /// Those of other issuers.
    pub(crate) issuer_keys: IssuerKeys,
    pub(crate) progress: Progress,
    /// As `progress`, of credentials.
    pub(crate) rotations: Progress,
    /// As `progress`, of plugins.
    pub(crate) installations: Progress,
    pub(crate) changes: Changes,
    /// The migrator, with this service's identity. It need not be there yet.
    pub(crate) migrator: MigratorClient,
    /// The operator's own services, with this service's identity.
    pub(crate) hooks: Hooks,
    pub(crate) event_log: EventLog,
    /// What goes on without its caller.
    pub(crate) tasks: TaskTracker,
    /// Begun when this process is to stop: streams end then.
    pub(crate) stopping: Shutdown,
    pub(crate) settings: Settings,
}

/// What use cases are told by the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) issuer: String,
    /// The tenant-aware services beside ours.
    pub(crate) tenant_services: TenantServices,
    pub(crate) public_sign_up: bool,
    pub(crate) token_lifetime: Duration,
    pub(crate) sessions: SessionSettings,
    pub(crate) throttle: ThrottleSettings,
    /// For how long verifiers may keep the key set.
    pub(crate) jwks_max_age: Duration,
    pub(crate) invitation_lifetime: Duration,
    /// How long an operator acts for a user by one token.
    pub(crate) impersonation_lifetime: Duration,
    pub(crate) api_keys_per_company: u64,
    /// How far the clocks of other issuers may be apart from ours.
    pub(crate) issuer_leeway: Duration,
    /// For how long a deleted company can be undeleted.
    pub(crate) deletion_grace: Duration,
    /// For how long a credential works after another one has taken its place.
    pub(crate) credential_drain: Duration,
}

/// How long after its end a token may still be taken: clocks are not one.
const TOKEN_LEEWAY: Duration = Duration::from_secs(60);

impl Settings {
    /// For how long a revocation is of any use.
    pub(crate) fn revocations_kept(&self) -> Duration {
        self.token_lifetime + TOKEN_LEEWAY
    }
}

impl App {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

impl From<PasswordError> for Error {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Overloaded => Error::new(Reason::Overloaded, "too many sign-ins at once; try again shortly")
                .retry_after(Duration::from_secs(1)),
            PasswordError::Hash(_) | PasswordError::Stopped | PasswordError::Start(_) => Error::internal(error),
        }
    }
}

impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        Error::internal(error)
    }
}

impl From<RandomError> for Error {
    fn from(error: RandomError) -> Self {
        Error::internal(error)
    }
}

/// The one answer to a wrong e-mail, password, credential or secret.
fn credentials_invalid() -> Error {
    Error::new(Reason::CredentialsInvalid, "the credentials are not valid")
}

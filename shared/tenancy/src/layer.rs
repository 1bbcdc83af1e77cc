//! The road: verified claims ► placement ► state, epoch and schema ► handle.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tenantry_rpc::{Call, Caller, Context, Error, HttpRequest, HttpResponse, Middleware, Next, Reason, UserClaims};
use tenantry_store::{driver, is_disk_full, is_unavailable};
use tokio::time::Instant;
use tonic::Status;

use crate::gate::SchemaGate;
use crate::handle::{AccessGuard, TenantAccess};
use crate::limits::{Limiter, Refused, Turn};
use crate::stream::StreamRight;
use crate::{
    CachedDirectory, CheckoutError, Directory, LimitConfig, Placement, Pools, ResolveError, Revocations, TenancyError,
    TenantDb, TenantState, TenantStream,
};

/// How long a caller waits before another try when something is away.
const SOON: Duration = Duration::from_secs(1);
/// The same, where an operator has to do something first.
const LATER: Duration = Duration::from_secs(60);
/// How long a caller waits for the end of a maintenance, where nobody has said it.
const MAINTENANCE: Duration = Duration::from_secs(30);
/// What ends with a request.
pub(crate) struct UnderWay {
    _access: AccessGuard,
    _turn: Turn,
}

/// Opens the road for users' calls. Other callers' calls pass without a handle.
pub struct TenancyLayer(Arc<Road>);

/// The way from a caller to their tenant's database.
pub(crate) struct Road {
    directory: Arc<CachedDirectory<Arc<dyn Directory>>>,
    revocations: Arc<Revocations>,
    pools: Arc<Pools>,
    gate: SchemaGate,
    limiter: Arc<Limiter>,
}

impl TenancyLayer {
    /// The layer of one service. It shares directory and revocations with a
    /// [`TenantFollower`](crate::TenantFollower), where there is one to follow.
    pub fn new(
        directory: Arc<CachedDirectory<Arc<dyn Directory>>>,
        revocations: Arc<Revocations>,
        pools: Arc<Pools>,
        gate: impl Into<SchemaGate>,
        limits: &LimitConfig,
    ) -> Self {
        let (gate, limiter) = (gate.into(), Arc::new(Limiter::new(limits)));
        Self(Arc::new(Road { directory, revocations, pools, gate, limiter }))
    }
}

impl Road {
    async fn placement(&self, claims: &UserClaims, plugin: Option<&str>) -> Result<Arc<Placement>, Error> {
        let placement = self.directory.get(claims.tenant()).await.map_err(refuse_unresolved)?;
        let serves = placement.state == TenantState::Active && self.gate.check(plugin, &placement).is_ok();
        if serves && claims.access_epoch() <= placement.access_epoch {
            return Ok(placement);
        }
        // What is remembered is older than the token, or may be older than the state, a migration or an installation.
        if claims.access_epoch() > placement.access_epoch {
            self.directory.refresh(claims.tenant()).await;
        } else {
            self.directory.refresh_unless_just_asked(claims.tenant()).await;
        }
        self.directory.get(claims.tenant()).await.map_err(refuse_unresolved)
    }

    /// Where the tenant's database is, if the caller may use it at this moment.
    pub(crate) async fn admit(&self, claims: &UserClaims, plugin: Option<&str>) -> Result<Arc<Placement>, Error> {
        let placement = self.placement(claims, plugin).await?;
        // State before epoch: a suspended company's token says so.
        check_state(placement.state, placement.maintenance_retry)?;
        if claims.access_epoch() < placement.access_epoch {
            return Err(Error::new(Reason::TokenStale, "the company has signed everyone out; sign in again"));
        }
        if self.revocations.refuse(claims) {
            return Err(Error::new(Reason::TokenRevoked, "the token was revoked; sign in again"));
        }
        self.gate.check(plugin, &placement)?;
        Ok(placement)
    }

    async fn access(&self, context: &Context, claims: &UserClaims) -> Result<(TenantAccess, UnderWay), Error> {
        let placement = self.admit(claims, context.plugin()).await?;
        let turn = self.limiter.begin(claims.tenant(), placement.limits, Instant::now()).map_err(refuse_turn)?;
        let (access, guard) = TenantAccess::new(claims.tenant(), placement, self.pools.clone(), context.deadline())
            .ok_or_else(|| Error::internal("the directory answered another tenant than was asked for"))?;
        Ok((access, UnderWay { _access: guard, _turn: turn }))
    }
}

#[async_trait]
impl Middleware for TenancyLayer {
    async fn handle(&self, mut request: HttpRequest, next: Next) -> HttpResponse {
        let Some(context) = request.extensions().get::<Context>().cloned() else { return next.run(request).await };
        let Caller::User(claims) = context.caller() else { return next.run(request).await };
        match self.0.access(&context, claims).await {
            Ok((access, until_ended)) if context.is_stream() => {
                request.extensions_mut().insert(access.clone());
                let right = StreamRight::new(self.0.clone(), &context, access, until_ended);
                request.extensions_mut().insert(right);
                next.run(request).await
            }
            Ok((access, _until_answered)) => {
                request.extensions_mut().insert(access);
                next.run(request).await
            }
            Err(error) => Status::from(error).into_http(),
        }
    }
}

/// What a handler opens its tenant's database with.
pub trait TenantCall {
    /// The database of the call's tenant.
    fn tenant_db(&self) -> Result<TenantDb<'_>, Error>;

    /// The right to it for as long as the stream lasts that the call answers.
    fn tenant_stream(&self) -> Result<TenantStream, Error>;
}

impl<T> TenantCall for Call<T> {
    fn tenant_db(&self) -> Result<TenantDb<'_>, Error> {
        TenantDb::from_extensions(&self.extensions)
            .ok_or_else(|| Error::internal("a call without a tenant reached its handler"))
    }

    fn tenant_stream(&self) -> Result<TenantStream, Error> {
        TenantStream::from_extensions(&self.extensions)
            .ok_or_else(|| Error::internal("a call without a tenant, or without a stream, reached its handler"))
    }
}

fn check_state(state: TenantState, maintenance_retry: Option<Duration>) -> Result<(), Error> {
    let (reason, message) = match state {
        TenantState::Active => return Ok(()),
        TenantState::Provisioning => {
            (Reason::TenantProvisioning, "the company's database is being made; try again shortly")
        }
        TenantState::Suspended => (Reason::TenantSuspended, "the company is suspended; ask its operator"),
        TenantState::Maintenance => (Reason::TenantInMaintenance, "the company is in maintenance; try again later"),
        TenantState::Failed => (Reason::TenantFailed, "the company's database could not be made; ask its operator"),
        TenantState::Deleted | TenantState::Purged => (Reason::TenantDeleted, "the company is deleted"),
    };
    let error = Error::new(reason, message);
    Err(match state {
        TenantState::Maintenance => error.retry_after(maintenance_retry.unwrap_or(MAINTENANCE)),
        TenantState::Provisioning => error.retry_after(SOON),
        TenantState::Active
        | TenantState::Suspended
        | TenantState::Failed
        | TenantState::Deleted
        | TenantState::Purged => error,
    })
}

fn refuse_turn(refused: Refused) -> Error {
    match refused {
        Refused::TooFast { retry_after } => {
            let message =
                "the company makes more requests per second than it may; try again later, or ask the operator";
            Error::new(Reason::RateLimited, message).retry_after(retry_after)
        }
        Refused::TooManyAtOnce { retry_after } => {
            let message = "the company has more requests under way than it may; try again later, or ask the operator";
            Error::new(Reason::ConcurrencyLimited, message).retry_after(retry_after)
        }
    }
}

fn refuse_unresolved(error: ResolveError) -> Error {
    match error {
        ResolveError::NotFound => Error::new(Reason::TenantNotFound, "there is no such company"),
        ResolveError::NotServed(state) => match check_state(state, None) {
            Err(error) => error,
            Ok(()) => Error::internal("an active tenant without a database"),
        },
        ResolveError::Unavailable(_) => {
            Error::new(Reason::DirectoryUnavailable, "where the company's database is cannot be looked up; try again")
                .retry_after(SOON)
                .caused_by(error)
        }
    }
}

impl From<TenancyError> for Error {
    fn from(error: TenancyError) -> Self {
        match error {
            TenancyError::Checkout(CheckoutError::Exhausted) => {
                Error::new(Reason::ConnectionsExhausted, "every database connection is in use; try again")
                    .retry_after(SOON)
            }
            TenancyError::Checkout(CheckoutError::DeadlinePassed) => {
                Error::new(Reason::DeadlineExceeded, "not done within the deadline; try again with a longer one")
            }
            TenancyError::Checkout(CheckoutError::Closed) => {
                Error::new(Reason::ShuttingDown, "the service is shutting down; try again").retry_after(SOON)
            }
            TenancyError::Checkout(CheckoutError::Broken { retry_after }) => unreachable(error, retry_after),
            TenancyError::Checkout(CheckoutError::Connect(ref cause)) if is_disk_full(cause) => full(error),
            TenancyError::Checkout(CheckoutError::Connect(_) | CheckoutError::Refused(_)) => unreachable(error, SOON),
            TenancyError::Database(ref cause) if driver(cause).is_some_and(is_disk_full) => full(error),
            // An idle connection whose server has gone shows at its first statement. Nothing was committed.
            TenancyError::Database(ref cause) if driver(cause).is_some_and(is_unavailable) => unreachable(error, SOON),
            TenancyError::OutcomeUnknown(_) => {
                let message =
                    "the connection broke during the commit: repeat the call with the same request_id, or read again";
                Error::new(Reason::OutcomeUnknown, message).caused_by(error)
            }
            TenancyError::RequestEnded | TenancyError::Database(_) | TenancyError::Aborted => Error::internal(error),
        }
    }
}

/// So that a handler can have its store's failures by `?`.
impl From<TenancyError> for Status {
    fn from(error: TenancyError) -> Self {
        Error::from(error).into()
    }
}

fn full(error: TenancyError) -> Error {
    let message = "the company's database has no room for more; try again later, or tell whoever operates it";
    Error::new(Reason::DatabaseServerFull, message).retry_after(LATER).caused_by(error)
}

fn unreachable(error: TenancyError, retry_after: Duration) -> Error {
    Error::new(Reason::TenantDatabaseUnavailable, "the company's database cannot be reached; try again")
        .retry_after(retry_after)
        .caused_by(error)
}

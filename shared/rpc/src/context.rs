//! Who calls, until when, and what came along.

use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use tenantry_ids::{ApiKeyId, CompanyId, OperatorId, PrincipalId, SessionId, UserId};
use tokio::time::Instant;
use tonic::Request;

use crate::auth::Revocable;
use crate::{Error, Origin, Reason};

/// A call's context, made by the layers before any handler runs.
#[derive(Debug, Clone)]
pub struct Context {
    caller: Caller,
    method: Arc<str>,
    deadline: Instant,
    origin: Option<Origin>,
    plugin: Option<Arc<str>>,
    streams: bool,
}

/// Who calls, as proven. Only the authentication layer makes one, so a value of
/// this type is the proof.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Nobody in particular.
    Anonymous,
    /// A person of a company, or a machine of it.
    User(Arc<UserClaims>),
    /// An operator.
    Operator(Arc<OperatorClaims>),
    /// Another service, by name.
    Service(Arc<str>),
}

/// What a verified tenant token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserClaims {
    pub(crate) principal: Principal,
    pub(crate) actor: Option<OperatorId>,
    pub(crate) session: Option<SessionId>,
    pub(crate) tenant: CompanyId,
    pub(crate) access_epoch: u64,
    pub(crate) issued_at: i64,
    pub(crate) roles: Vec<String>,
    pub(crate) scopes: Vec<String>,
}

/// Who works in a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Principal {
    User(UserId),
    ApiKey(ApiKeyId),
}

/// A person who calls for themselves.
#[derive(Debug, Clone, Copy)]
pub struct Person<'c> {
    /// The person.
    pub user: UserId,
    claims: &'c UserClaims,
}

impl<'c> Person<'c> {
    /// What their token holds.
    pub fn scopes(&self) -> &'c [String] {
        &self.claims.scopes
    }
}

/// What a verified operator token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorClaims {
    pub(crate) operator: OperatorId,
    pub(crate) scopes: Vec<String>,
}

impl UserClaims {
    /// Whoever works in the company, whether a user or a machine.
    pub fn principal(&self) -> PrincipalId {
        match self.principal {
            Principal::User(user) => PrincipalId(user.0),
            Principal::ApiKey(key) => PrincipalId(key.0),
        }
    }

    /// The operator who acts for the user, if one does.
    pub fn actor(&self) -> Option<OperatorId> {
        self.actor
    }

    /// The one company that the token is for.
    pub fn tenant(&self) -> CompanyId {
        self.tenant
    }

    /// The tenant's access epoch when the token was issued.
    pub fn access_epoch(&self) -> u64 {
        self.access_epoch
    }

    /// When the token was issued, in seconds since 1970.
    pub fn issued_at(&self) -> i64 {
        self.issued_at
    }

    /// What the token can be revoked by.
    pub fn revocables(&self) -> impl Iterator<Item = Revocable> {
        let principal = match self.principal {
            Principal::User(user) => Revocable::User(user),
            Principal::ApiKey(key) => Revocable::ApiKey(key),
        };
        std::iter::once(principal).chain(self.session.map(Revocable::Session))
    }

    /// The user's roles in the company.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }
}

impl UserClaims {
    fn subject(&self) -> String {
        match (self.principal, self.actor) {
            (Principal::User(user), None) => format!("user:{user}"),
            (Principal::User(user), Some(operator)) => format!("operator:{operator} as user:{user}"),
            (Principal::ApiKey(key), _) => format!("api_key:{key}"),
        }
    }
}

impl OperatorClaims {
    /// The operator.
    pub fn operator(&self) -> OperatorId {
        self.operator
    }
}

impl Caller {
    /// The caller as one text, for logs, audit and idempotency keys:
    /// `user:<id>`, `api_key:<id>`, `operator:<id>`, `operator:<id> as user:<id>`, `service:<name>` or `anonymous`.
    pub fn subject(&self) -> String {
        match self {
            Caller::Anonymous => "anonymous".to_owned(),
            Caller::User(claims) => claims.subject(),
            Caller::Operator(claims) => format!("operator:{}", claims.operator),
            Caller::Service(name) => format!("service:{name}"),
        }
    }
}

impl Context {
    pub(crate) fn new(caller: Caller, method: &str, deadline: Instant, origin: Option<Origin>) -> Self {
        Self { caller, method: method.into(), deadline, origin, plugin: None, streams: false }
    }

    /// For an RPC of this plugin.
    pub(crate) fn within(self, plugin: Option<Arc<str>>) -> Self {
        Self { plugin, ..self }
    }

    /// For an RPC whose answer is a stream, or is none.
    pub(crate) fn streaming(self, streams: bool) -> Self {
        Self { streams, ..self }
    }

    /// Whether the answer is a stream.
    pub fn is_stream(&self) -> bool {
        self.streams
    }

    /// The plugin that the RPC belongs to, which a user's company must have installed.
    pub fn plugin(&self) -> Option<&str> {
        self.plugin.as_deref()
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The RPC's path, such as `/tenantry.crm.v1.PersonService/GetPerson`.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// When the answer is of no use any more.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Where the call comes from; `None` where it came by no connection.
    pub fn origin(&self) -> Option<Origin> {
        self.origin
    }

    /// What is left until the deadline.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The verified claims of a user, or an internal error: the access rule of
    /// the RPC lets users in only, so the layer has made sure.
    pub fn user(&self) -> Result<&UserClaims, Error> {
        match &self.caller {
            Caller::User(claims) => Ok(claims),
            Caller::Anonymous | Caller::Operator(_) | Caller::Service(_) => {
                Err(Error::internal(format!("{} has no user, and its handler needs one", self.method)))
            }
        }
    }

    /// The person who calls for themselves, for what is nobody else's to do: no machine, and nobody who acts for them.
    pub fn person(&self) -> Result<Person<'_>, Error> {
        let claims = self.user()?;
        match (claims.principal, claims.actor) {
            (Principal::User(user), None) => Ok(Person { user, claims }),
            (Principal::User(_) | Principal::ApiKey(_), _) => {
                let message = "only the person themselves may do this, signed in with their password";
                Err(Error::new(Reason::CallerNotAllowed, message))
            }
        }
    }
}

/// A request with its context.
#[derive(Debug)]
pub struct Call<T> {
    /// Who calls, and until when.
    pub context: Context,
    /// The message.
    pub body: T,
    /// What other layers left for the handler.
    pub extensions: Extensions,
}

impl<T> Call<T> {
    /// Opens a request. Fails only where the server was built without our layers.
    pub fn open(request: Request<T>) -> Result<Self, Error> {
        let (_, extensions, body) = request.into_parts();
        let context = extensions
            .get::<Context>()
            .cloned()
            .ok_or_else(|| Error::internal("a call reached a handler without a context"))?;
        Ok(Self { context, body, extensions })
    }
}

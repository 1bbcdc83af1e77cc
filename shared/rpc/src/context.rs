//! Who calls, until when, and what came along.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use tenantry_ids::{CompanyId, OperatorId, UserId};
use tokio::time::Instant;
use tonic::Request;

use crate::Error;

/// A call's context, made by the layers before any handler runs.
#[derive(Debug, Clone)]
pub struct Context {
    caller: Caller,
    method: Arc<str>,
    deadline: Instant,
    peer: Option<SocketAddr>,
    plugin: Option<Arc<str>>,
}

/// Who calls, as proven. Only the authentication layer makes one, so a value of
/// this type is the proof.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Nobody in particular.
    Anonymous,
    /// A person of a company.
    User(Arc<UserClaims>),
    /// An operator.
    Operator(Arc<OperatorClaims>),
    /// Another service, by name.
    Service(Arc<str>),
}

/// What a verified tenant token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserClaims {
    pub(crate) user: UserId,
    pub(crate) tenant: CompanyId,
    pub(crate) access_epoch: u64,
    pub(crate) issued_at: i64,
    pub(crate) roles: Vec<String>,
    pub(crate) scopes: Vec<String>,
}

/// What a verified operator token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorClaims {
    pub(crate) operator: OperatorId,
    pub(crate) scopes: Vec<String>,
}

impl UserClaims {
    /// The user.
    pub fn user(&self) -> UserId {
        self.user
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

    /// The user's roles in the company.
    pub fn roles(&self) -> &[String] {
        &self.roles
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
    /// `user:<id>`, `operator:<id>`, `service:<name>` or `anonymous`.
    pub fn subject(&self) -> String {
        match self {
            Caller::Anonymous => "anonymous".to_owned(),
            Caller::User(claims) => format!("user:{}", claims.user),
            Caller::Operator(claims) => format!("operator:{}", claims.operator),
            Caller::Service(name) => format!("service:{name}"),
        }
    }
}

impl Context {
    pub(crate) fn new(caller: Caller, method: &str, deadline: Instant) -> Self {
        Self { caller, method: method.into(), deadline, peer: None, plugin: None }
    }

    pub(crate) fn with_peer(self, peer: Option<SocketAddr>) -> Self {
        Self { peer, ..self }
    }

    /// For an RPC of this plugin.
    pub(crate) fn within(self, plugin: Option<Arc<str>>) -> Self {
        Self { plugin, ..self }
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

    /// The other end of the connection that the call came by: a proxy's where there is one.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
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
}

tokio::task_local! {
    static PEER: Option<SocketAddr>;
}

/// Runs what answers a call from there.
pub(crate) async fn within_call_from<T>(peer: Option<SocketAddr>, answer: impl Future<Output = T>) -> T {
    PEER.scope(peer, answer).await
}

/// [`Context::peer`] of the call that is being answered here, as the trace's id is known to whatever works for it: what
/// an audit notes must not depend on everybody in between handing it on. `None` for work that goes on without its call.
pub fn current_peer() -> Option<SocketAddr> {
    PEER.try_with(|peer| *peer).ok().flatten()
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

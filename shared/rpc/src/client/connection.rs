//! One connection to one address of a service.
//!
//! tonic's channel would make another when it is lost, to a server of which nobody knows yet whether it serves. Here that
//! is a new [`Connection`], which asks first.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http::Uri;
use tokio::time::timeout;
use tonic::Code;
use tonic::codegen::StdError;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::Service;

use super::target::{CONNECT_TIMEOUT, Target};

/// A connection, made when it is first waited for, by one for all.
pub(super) type Connection = Shared<BoxFuture<'static, Result<Connected, Absent>>>;

/// Somebody is there.
#[derive(Clone)]
pub(super) struct Connected {
    pub(super) channel: Channel,
    /// What the server says of itself, where it was asked.
    pub(super) is_serving: bool,
}

/// Nobody is there, and why.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{address} cannot be reached: {}", root(source.as_ref()))]
pub(super) struct Absent {
    address: SocketAddr,
    source: Arc<dyn Error + Send + Sync>,
}

/// What says why: those around it say that a transport failed.
fn root<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    error.source().map_or(error, root)
}

/// A connection to `target` at `address`, whose server `is_asked` whether it serves, as in
/// <https://github.com/grpc/proposal/blob/master/A17-client-side-health-checking.md>.
pub(super) fn connection(target: Target, address: SocketAddr, is_asked: bool) -> Connection {
    let absent = move |error: StdError| Absent { address, source: error.into() };
    let connect = async move {
        let channel = target.connect(address).await.map_err(|error| absent(error.into()))?;
        let is_serving = !is_asked || is_serving(channel.clone()).await;
        Ok(Connected { channel, is_serving })
    };
    // Others wait for it still when the first one gives up.
    let made = async move { tokio::spawn(connect).await.unwrap_or_else(|error| Err(absent(error.into()))) };
    made.boxed().shared()
}

async fn is_serving(channel: Channel) -> bool {
    let mut health = HealthClient::new(channel);
    match timeout(CONNECT_TIMEOUT, health.check(HealthCheckRequest::default())).await {
        Ok(Ok(answer)) => answer.get_ref().status() == ServingStatus::Serving,
        // It has nothing to say of its health.
        Ok(Err(status)) => status.code() == Code::Unimplemented,
        Err(_elapsed) => false,
    }
}

/// A connector for one connection.
pub(super) struct Once<S>(Option<BoxFuture<'static, io::Result<S>>>);

impl<S> Once<S> {
    pub(super) fn new(connect: impl Future<Output = io::Result<S>> + Send + 'static) -> Self {
        Self(Some(Box::pin(connect)))
    }
}

/// The connection was lost before the call. Another one may be there.
#[derive(Debug)]
pub(super) struct Over;

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is over")
    }
}

impl Error for Over {}

impl<S: Send + 'static> Service<Uri> for Once<S> {
    type Response = S;
    type Error = StdError;
    type Future = BoxFuture<'static, Result<S, StdError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connect = self.0.take();
        Box::pin(async {
            match connect {
                Some(connect) => Ok(connect.await?),
                None => Err(Over.into()),
            }
        })
    }
}

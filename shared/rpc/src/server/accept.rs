//! Our own accept loop. tonic's cannot end a connection that an open stream
//! keeps busy, and answers an expired deadline with CANCELLED before ours can
//! say DEADLINE_EXCEEDED.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

use super::ServerConfig;
use crate::Shutdown;
use crate::layers::Stack;
use crate::tls::ServerTls;

/// Header lists over this are refused, in bytes. Twice the largest token.
const MAX_HEADER_LIST_BYTES: u32 = 16 * 1024;
/// What HTTP/1.1 may send of a head before it is refused, in bytes.
const MAX_HTTP1_BUFFER_BYTES: usize = 16 * 1024;
/// How long HTTP/1.1 may take over a head, and over the next one.
const HTTP1_IDLE: Duration = Duration::from_secs(10);
/// How old a connection is before it is told to go elsewhere. One that has not said yet that it speaks HTTP/2 would be
/// closed instead, under a call that is on its way.
const SETTLED: Duration = Duration::from_millis(250);
/// How long to wait after accept fails (too many open files, as a rule).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    stack: Stack,
    config: &ServerConfig,
    shutdown: &Shutdown,
) {
    let way = Arc::new(Way { builder: builder(config), tls, grace: config.drain_grace() });
    // Hashes differently in each process, and of each count differently: luck enough.
    let (luck, mut count) = (RandomState::new(), 0_u64);
    let connections = TaskTracker::new();
    let mut take = |stream, peer| {
        let stack = stack.called_from(peer, config.trusted_hops);
        count += 1;
        let age = config.connection_age(luck.hash_one(count));
        connections.spawn(way.clone().connection(stream, age, stack, shutdown.clone()));
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.begun() => break,
        };
        match accepted {
            Ok((stream, peer)) => take(stream, peer),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    for (stream, peer) in waiting(listener) {
        take(stream, peer);
    }
    connections.close();
    connections.wait().await;
}

/// Who has connected already. With the port, they would be reset; so they are told to go elsewhere.
fn waiting(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let taken = listener.into_std().map(|listener| {
        let accepted = std::iter::from_fn(|| listener.accept().ok());
        let streams = accepted.filter_map(|(stream, peer)| {
            stream.set_nonblocking(true).ok()?;
            Some((TcpStream::from_std(stream).ok()?, peer))
        });
        streams.collect()
    });
    taken.unwrap_or_default()
}

fn builder(config: &ServerConfig) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .adaptive_window(true)
        .max_concurrent_streams(config.max_streams_per_connection)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .keep_alive_interval(Duration::from_millis(config.keepalive_interval_ms))
        .keep_alive_timeout(Duration::from_millis(config.keepalive_timeout_ms));
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HTTP1_IDLE).max_buf_size(MAX_HTTP1_BUFFER_BYTES);
    builder
}

/// What all connections have in common.
struct Way {
    builder: auto::Builder<TokioExecutor>,
    tls: Option<Arc<ServerTls>>,
    /// How long calls may go on over a connection whose client is not trusted any more.
    grace: Duration,
}

impl Way {
    /// Serves one connection, after its handshake where there is one.
    async fn connection(self: Arc<Self>, stream: TcpStream, age: Option<Duration>, stack: Stack, shutdown: Shutdown) {
        // Small answers must not wait for more to send.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended before it began");
            return;
        }
        let Some(tls) = &self.tls else {
            let moved = async {
                after(age).await;
                None
            };
            return self.answer(stream, stack, &shutdown, moved).await;
        };
        let accepted = tokio::select! {
            accepted = tls.accept(stream) => accepted,
            () = shutdown.begun() => return,
        };
        let (stream, peer, trust) = match accepted {
            Ok(accepted) => accepted.into_parts(),
            Err(error) => return log_handshake(&error),
        };
        let distrusted = async {
            tls.distrusts(peer.as_deref(), trust).await;
            if let Some(peer) = &peer {
                tracing::info!(certificate = peer.names(), "a client's certificate does not count any more");
            }
        };
        let moved = async {
            tokio::select! {
                () = distrusted => Some(self.grace),
                () = after(age) => None,
            }
        };
        self.answer(stream, stack.shown(peer.clone()), &shutdown, moved).await;
    }

    /// Serves one connection. When the shutdown begins the peer is told to go elsewhere (GOAWAY) and calls under way
    /// finish; when it is forced the connection is dropped with whatever is on it. One that is `moved` before ends the
    /// same way, within the limit that this gives.
    async fn answer<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: IO,
        stack: Stack,
        shutdown: &Shutdown,
        moved: impl Future<Output = Option<Duration>>,
    ) {
        let connection = self.builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(stack));
        tokio::pin!(connection);
        let settled = Instant::now() + SETTLED;
        let stopped = async {
            shutdown.begun().await;
            sleep_until(settled).await;
        };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            limit = async {
                tokio::select! {
                    () = stopped => None,
                    limit = moved => limit,
                }
            } => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = shutdown.forced() => return,
                    () = after(limit) => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

async fn after(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// A certificate that is refused is somebody's trouble; everything else may be a scan.
fn log_handshake(error: &io::Error) {
    use rustls::Error::{InvalidCertificate, NoCertificatesPresented};
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    if matches!(cause, Some(InvalidCertificate(_) | NoCertificatesPresented)) {
        tracing::warn!(%error, "a client was refused in its TLS handshake");
    } else {
        tracing::debug!(%error, "a TLS handshake failed");
    }
}

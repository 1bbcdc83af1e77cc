//! Our own accept loop. tonic's cannot end a connection that an open stream
//! keeps busy, and answers an expired deadline with CANCELLED before ours can
//! say DEADLINE_EXCEEDED.

use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::ServerConfig;
use crate::Shutdown;
use crate::layers::Stack;

/// Header lists over this are refused, in bytes. Twice the largest token.
const MAX_HEADER_LIST_BYTES: u32 = 16 * 1024;
/// What HTTP/1.1 may send of a head before it is refused, in bytes.
const MAX_HTTP1_BUFFER_BYTES: usize = 16 * 1024;
/// How long HTTP/1.1 may take over a head, and over the next one.
const HTTP1_IDLE: Duration = Duration::from_secs(10);
/// How long to wait after accept fails (too many open files, as a rule).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn serve(listener: TcpListener, stack: Stack, config: &ServerConfig, shutdown: &Shutdown) {
    let builder = builder(config);
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.begun() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let stack = stack.called_from(peer, config.trusted_hops);
                connections.spawn(connection(builder.clone(), stream, stack, shutdown.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
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

/// Serves one connection. When the shutdown begins the peer is told to go
/// elsewhere (GOAWAY) and calls under way finish; when it is forced the
/// connection is dropped with whatever is on it.
async fn connection(builder: auto::Builder<TokioExecutor>, stream: TcpStream, stack: Stack, shutdown: Shutdown) {
    // Small answers must not wait for more to send.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it began");
        return;
    }
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(stack));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.begun() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = shutdown.forced() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

//! `GET /metrics` in Prometheus' text format, by plain HTTP on a port of its own.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use opentelemetry_prometheus::PrometheusExporter;
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::TelemetryError;

/// Connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 16;
/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take, with its one answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(20);
/// What a request's head may take, in bytes: hyper's least.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// How long to wait after accept fails (too many open files, as a rule).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The endpoint; gone when dropped.
pub(crate) struct Endpoint {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Endpoint {
    /// Takes the port and answers there from now on, with what the reader is given.
    pub(crate) fn start(address: SocketAddr) -> Result<(PrometheusExporter, Self), TelemetryError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone());
        // Every instrument is of one scope, which needs no label.
        let reader = exporter.scope_info_enabled(false).build().map_err(TelemetryError::Scrape)?;
        let listener = listen(address).map_err(|source| TelemetryError::Listen { address, source })?;
        let address = listener.local_addr().map_err(|source| TelemetryError::Listen { address, source })?;
        let serving = tokio::spawn(serve(listener, registry));
        Ok((reader, Self { address, serving }))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn serve(listener: TcpListener, registry: Registry) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Closed never.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let registry = registry.clone();
                tokio::spawn(async move {
                    // One that takes too long is dropped; one that fails is its client's loss.
                    let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection(stream, registry)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection for metrics could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, registry: Registry) -> Result<(), hyper::Error> {
    let answer = service_fn(|request: Request<hyper::body::Incoming>| {
        let registry = registry.clone();
        async move { Ok::<_, Infallible>(answer(request.method(), request.uri().path(), registry).await) }
    });
    // One request each: a connection that is kept would hold its place between two reads.
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer)
        .await
}

async fn answer(method: &Method, path: &str, registry: Registry) -> Response<Full<Bytes>> {
    if path != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n");
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "metrics are read with GET\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    // Every observable instrument is asked meanwhile: off the async threads.
    match tokio::task::spawn_blocking(move || text(&registry)).await {
        Ok(Ok(text)) => {
            let mut response = Response::new(Full::from(text));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(prometheus::TEXT_FORMAT));
            response
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "metrics could not be written");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "an internal error\n")
        }
        Err(_stopped) => plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}

fn text(registry: &Registry) -> Result<Vec<u8>, prometheus::Error> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(text)
}

fn plain(status: StatusCode, message: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(message));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_sdk::metrics::SdkMeterProvider;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn asked(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer and its end");
        answer
    }

    #[tokio::test]
    async fn metrics_are_read_at_one_path_and_by_get_alone() {
        let (reader, endpoint) = Endpoint::start((Ipv4Addr::LOCALHOST, 0).into()).expect("an endpoint");
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        provider.meter("test").u64_counter("read.often").build().add(3, &[]);

        let at = endpoint.address();
        let read = asked(at, "GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n").await;
        assert!(read.starts_with("HTTP/1.1 200 ") && read.contains("\nread_often_total 3\n"), "{read}");
        assert!(read.contains("content-type: text/plain; version=0.0.4"), "{read}");
        let head = asked(at, "HEAD /metrics HTTP/1.1\r\nhost: here\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
        let elsewhere = asked(at, "GET / HTTP/1.1\r\nhost: here\r\n\r\n").await;
        assert!(elsewhere.starts_with("HTTP/1.1 404 "), "{elsewhere}");
        let posted = asked(at, "POST /metrics HTTP/1.1\r\nhost: here\r\ncontent-length: 0\r\n\r\n").await;
        assert!(posted.starts_with("HTTP/1.1 405 ") && posted.contains("allow: GET, HEAD"), "{posted}");
        let long = format!("GET /metrics HTTP/1.1\r\nhost: here\r\nlong: {}\r\n\r\n", "x".repeat(MAX_HEAD_BYTES));
        let long = asked(at, &long).await;
        assert!(long.starts_with("HTTP/1.1 431 "), "{long}");
    }

    #[tokio::test]
    async fn those_who_say_nothing_hold_up_nobody_for_good() {
        let (_reader, endpoint) = Endpoint::start((Ipv4Addr::LOCALHOST, 0).into()).expect("an endpoint");
        let mut silent = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            silent.push(TcpStream::connect(endpoint.address()).await.expect("a connection"));
        }
        // Answered once their time for a head is over.
        let read = asked(endpoint.address(), "GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n").await;
        assert!(read.starts_with("HTTP/1.1 200 "), "{read}");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_told() {
        let (_reader, endpoint) = Endpoint::start((Ipv4Addr::LOCALHOST, 0).into()).expect("an endpoint");
        let taken = Endpoint::start(endpoint.address()).map(drop).expect_err("a taken port");
        assert!(matches!(taken, TelemetryError::Listen { .. }), "{taken:?}");
    }
}

//! Plain HTTP beside gRPC, on the same port: documents that are read with GET, such as a key set.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tenantry_api::access::AccessRules;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::Error;
use crate::layers::{HttpRequest, HttpResponse, Middleware, Next, is_infrastructure};

/// A public document for clients that speak plain HTTP.
#[async_trait]
pub trait Document: Send + Sync + 'static {
    /// Where it is, such as `/.well-known/jwks.json`.
    fn path(&self) -> &'static str;

    /// What it says now.
    async fn read(&self) -> Result<Rendered, Error>;
}

/// A document as it is at the moment.
pub struct Rendered {
    /// Its media type.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: Vec<u8>,
    /// For how long anybody may keep it.
    pub max_age: Duration,
}

/// Answers whatever is no gRPC call: with a document, or with the status that says why not. The outermost layer, since
/// the others answer in gRPC's way.
pub(crate) struct Web {
    documents: HashMap<&'static str, Arc<dyn Document>>,
    rules: AccessRules,
}

impl Web {
    pub(crate) fn new(documents: Vec<Arc<dyn Document>>, rules: AccessRules) -> Self {
        Self { documents: documents.into_iter().map(|document| (document.path(), document)).collect(), rules }
    }
}

#[async_trait]
impl Middleware for Web {
    async fn handle(&self, request: HttpRequest, next: Next) -> HttpResponse {
        if is_grpc(&request) {
            return next.run(request).await;
        }
        let path = request.uri().path();
        let Some(document) = self.documents.get(path) else {
            let is_method = self.rules.get(path).is_some() || is_infrastructure(path);
            return match (is_method, request.method()) {
                (false, _) => refusal(StatusCode::NOT_FOUND, "there is nothing at this path"),
                // The protocol's own answer to another content type.
                (true, &Method::POST) => {
                    refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "this is a gRPC method; call it with a gRPC client")
                }
                (true, _) => not_allowed("POST"),
            };
        };
        let without_body = match *request.method() {
            Method::GET => false,
            Method::HEAD => true,
            _ => return not_allowed("GET, HEAD"),
        };
        match document.read().await {
            Ok(rendered) => answer(rendered, request.headers(), without_body),
            Err(error) => failure(error),
        }
    }
}

fn is_grpc(request: &HttpRequest) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    *request.method() == Method::POST && content_type.starts_with(b"application/grpc")
}

fn answer(rendered: Rendered, asked: &HeaderMap, without_body: bool) -> HttpResponse {
    let Rendered { content_type, body, max_age } = rendered;
    let etag = etag_of(&body);
    let known = asked.get_all(IF_NONE_MATCH).iter().any(|known| names(known, &etag));
    let length = body.len();
    let body = if known || without_body { Body::empty() } else { Body::new(Whole(Some(body.into()))) };
    let mut response = HttpResponse::new(body);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, text(format!("public, max-age={}", max_age.as_secs())));
    headers.insert(ETAG, text(etag));
    // Whoever reads it in a browser may: there is nothing in it that is not public.
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CONTENT_LENGTH, length.into());
    }
    response
}

/// A strong validator (RFC 9110, section 8.8.3): the same bytes, the same tag, on every replica.
fn etag_of(body: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, body);
    let short = digest.as_ref().get(..16).unwrap_or_default();
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(short))
}

/// Whether `If-None-Match` names the tag, compared weakly (RFC 9110, section 13.1.2).
fn names(header: &HeaderValue, etag: &str) -> bool {
    let text = header.to_str().unwrap_or_default();
    text.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == etag)
}

fn not_allowed(allowed: &'static str) -> HttpResponse {
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "this path is not there for that method");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// The status logs the cause, once.
fn failure(error: Error) -> HttpResponse {
    if Status::from(error).code() != Code::Unavailable {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "an internal error");
    }
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, "not available at the moment; try again");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn refusal(status: StatusCode, message: &'static str) -> HttpResponse {
    let mut response = HttpResponse::new(Body::new(Whole(Some(Bytes::from_static(message.as_bytes())))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, message.len().into());
    response
}

fn text(value: String) -> HeaderValue {
    // Digits, base64url and quotes only.
    HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A body in one piece.
struct Whole(Option<Bytes>);

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        std::task::Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_in_a_list_weakly_or_as_any() {
        let etag = etag_of(b"{}");
        let known = |header: &str| names(&HeaderValue::from_str(header).expect("a header"), &etag);
        assert!(known(&etag) && known("*") && known(&format!("\"other\", W/{etag}")));
        assert!(!known("\"other\"") && !known(etag.trim_matches('"')) && !known(""));
        assert_ne!(etag, etag_of(b"{ }"));
    }
}

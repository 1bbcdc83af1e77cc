use std::panic::AssertUnwindSafe;

use async_trait::async_trait;
use futures_util::FutureExt;
use tonic::Status;

use super::{HttpRequest, HttpResponse, Middleware, Next};
use crate::Error;

/// Turns a panic into an internal error. What it left half-done is dropped with
/// the call: connections with open work are never reused.
pub(crate) struct Panics;

#[async_trait]
impl Middleware for Panics {
    async fn handle(&self, request: HttpRequest, next: Next) -> HttpResponse {
        match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                Status::from(Error::internal(format!("a handler panicked: {text}"))).into_http()
            }
        }
    }
}

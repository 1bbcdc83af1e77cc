use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tonic::Status;

use super::{HttpRequest, HttpResponse, Middleware, Next, is_infrastructure};
use crate::{Error, Reason};

/// One limit on calls at once, over all connections. What is over it is refused
/// at once rather than queued: a queue in front of a full server only adds delay.
pub(crate) struct Admission(Arc<Semaphore>);

impl Admission {
    pub(crate) fn new(max_concurrent_calls: usize) -> Self {
        Self(Arc::new(Semaphore::new(max_concurrent_calls)))
    }
}

#[async_trait]
impl Middleware for Admission {
    async fn handle(&self, request: HttpRequest, next: Next) -> HttpResponse {
        if is_infrastructure(request.uri().path()) {
            return next.run(request).await;
        }
        let Ok(_permit) = self.0.try_acquire() else {
            let error = Error::new(Reason::Overloaded, "too many calls at once; try again shortly");
            return Status::from(error.retry_after(Duration::from_millis(250))).into_http();
        };
        next.run(request).await
    }
}

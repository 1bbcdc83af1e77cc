use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use tenantry_telemetry::metrics::Histogram;
use tonic::body::Body;
use tonic::{Code, Status};

use super::method::Method;

/// Who is told how a call ended.
pub(crate) trait Watch: Send + Unpin + 'static {
    /// Called once.
    fn ended(&mut self, code: Code);
}

/// A call under way. Dropped before its end is seen, it was cancelled: its caller has gone away.
pub(crate) struct Call<W: Watch> {
    watch: W,
    ended: bool,
}

impl<W: Watch> Call<W> {
    pub(crate) fn begun(watch: W) -> Self {
        Self { watch, ended: false }
    }

    pub(crate) fn end(mut self, code: Code) {
        self.note(code);
    }

    fn note(&mut self, code: Code) {
        if !std::mem::replace(&mut self.ended, true) {
            self.watch.ended(code);
        }
    }

    /// Ends with these headers where they say how it ended; otherwise with the body, if `body_ends` says so.
    pub(crate) fn answered(self, response: http::Response<Body>, body_ends: bool) -> http::Response<Body> {
        match status_in(response.headers()) {
            Some(code) => self.end(code),
            // Nothing comes any more, and nobody has said how it ended.
            None if body_ends && response.body().is_end_stream() => self.end(Code::Unknown),
            None if body_ends => return response.map(|body| Body::new(Ending { body, call: self })),
            None => self.end(Code::Ok),
        }
        response
    }
}

impl<W: Watch> Drop for Call<W> {
    fn drop(&mut self) {
        self.note(Code::Cancelled);
    }
}

/// Counts a call, and how long it takes.
pub(super) struct Measured {
    durations: Histogram<f64>,
    method: Arc<Method>,
    is_error: fn(Code) -> bool,
    /// Of the calls under way, one more while this one is.
    active: Arc<AtomicI64>,
    since: Instant,
}

impl Measured {
    pub(super) fn begin(
        durations: Histogram<f64>,
        method: Arc<Method>,
        is_error: fn(Code) -> bool,
        active: Arc<AtomicI64>,
    ) -> Self {
        active.fetch_add(1, Ordering::Relaxed);
        Self { durations, method, is_error, active, since: Instant::now() }
    }
}

impl Watch for Measured {
    fn ended(&mut self, code: Code) {
        self.active.fetch_sub(1, Ordering::Relaxed);
        let attributes = self.method.ended(code, (self.is_error)(code));
        self.durations.record(self.since.elapsed().as_secs_f64(), attributes);
    }
}

/// A body whose end is the call's.
struct Ending<W: Watch> {
    body: Body,
    call: Call<W>,
}

impl<W: Watch> http_body::Body for Ending<W> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(code) = frame.trailers_ref().map(|trailers| status_in(trailers).unwrap_or(Code::Unknown)) {
                    self.call.note(code);
                }
            }
            Some(Err(status)) => self.call.note(status.code()),
            // Without trailers nobody has said how it ended.
            None => self.call.note(Code::Unknown),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn status_in(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> (Call<Measured>, Arc<AtomicI64>) {
        let active = Arc::new(AtomicI64::new(0));
        let durations = tenantry_telemetry::metrics::durations("test", "a test");
        let method = Arc::new(Method::new("/a.B/C", true, &[]));
        (Call::begun(Measured::begin(durations, method, |_| false, active.clone())), active)
    }

    /// A stream that has said nothing yet.
    struct Silent;

    impl http_body::Body for Silent {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Pending
        }
    }

    fn under_way(active: &AtomicI64) -> i64 {
        active.load(Ordering::Relaxed)
    }

    #[test]
    fn a_call_is_under_way_until_its_end_or_until_it_is_let_go_of() {
        let (call, active) = begun();
        assert_eq!(under_way(&active), 1);
        call.end(Code::Ok);
        assert_eq!(under_way(&active), 0);
        let (call, active) = begun();
        drop(call);
        assert_eq!(under_way(&active), 0);
    }

    #[test]
    fn a_stream_ends_with_its_body_and_what_is_refused_with_its_headers() {
        let (call, active) = begun();
        let streaming = call.answered(http::Response::new(Body::new(Silent)), true);
        assert_eq!(under_way(&active), 1, "its body is there");
        drop(streaming);
        assert_eq!(under_way(&active), 0);

        let (call, active) = begun();
        let nothing = call.answered(http::Response::new(Body::empty()), true);
        assert_eq!(under_way(&active), 0, "nothing comes any more");
        drop(nothing);

        let (call, active) = begun();
        let refused = call.answered(Status::not_found("none").into_http(), true);
        assert_eq!(under_way(&active), 0);
        drop(refused);
        assert_eq!(under_way(&active), 0, "counted once");
    }
}

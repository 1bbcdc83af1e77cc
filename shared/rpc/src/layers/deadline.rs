use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use tenantry_api::access::AccessRules;
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;

use super::trace::deadline_exceeded;
use super::{HttpRequest, HttpResponse, Middleware, Next, is_infrastructure};

/// Ends a call at the caller's deadline (`grpc-timeout`), or at the server's own.
/// What the handler was doing is dropped, which cancels its queries. A stream ends
/// at its caller's deadline; one whose caller names none is the handler's to end,
/// since a watch has no end.
pub(crate) struct DeadlineLayer {
    pub(crate) rules: AccessRules,
    pub(crate) default: Duration,
    pub(crate) longest: Duration,
    pub(crate) longest_stream: Duration,
}

/// The call's deadline, for the layers that follow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) call: Instant,
    /// Where its answer is a stream.
    pub(crate) stream: Instant,
}

#[async_trait]
impl Middleware for DeadlineLayer {
    async fn handle(&self, mut request: HttpRequest, next: Next) -> HttpResponse {
        if is_infrastructure(request.uri().path()) {
            return next.run(request).await;
        }
        let (wanted, now) = (grpc_timeout(request.headers()), Instant::now());
        let deadline = Deadline {
            call: now + wanted.unwrap_or(self.default).min(self.longest),
            stream: now + wanted.unwrap_or(self.longest_stream).min(self.longest_stream),
        };
        let streams = self.rules.get(request.uri().path()).is_some_and(|rule| rule.streams);
        let end = wanted.filter(|_| streams).map(|_| deadline.stream);
        request.extensions_mut().insert(deadline);
        match tokio::time::timeout_at(deadline.call, next.run(request)).await {
            Ok(response) => match end {
                Some(end) => response.map(|answers| Body::new(Until::new(answers, end))),
                None => response,
            },
            Err(_elapsed) => Status::from(deadline_exceeded()).into_http(),
        }
    }
}

/// Answers that end at the deadline, with its error.
struct Until {
    /// `None` when the deadline has passed.
    answers: Option<Body>,
    end: Pin<Box<Sleep>>,
}

impl Until {
    fn new(answers: Body, end: Instant) -> Self {
        Self { answers: Some(answers), end: Box::pin(tokio::time::sleep_until(end)) }
    }
}

impl http_body::Body for Until {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(answers) = &mut self.answers else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(answers).poll_frame(context) {
            return Poll::Ready(frame);
        }
        ready!(self.end.as_mut().poll(context));
        self.answers = None;
        let mut trailers = HeaderMap::new();
        Status::from(deadline_exceeded()).add_header(&mut trailers)?;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.answers.as_ref().is_none_or(http_body::Body::is_end_stream)
    }
}

/// `grpc-timeout`: at most 8 digits and a unit (gRPC over HTTP/2, "Timeout").
pub(crate) fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use tonic::Code;

    use super::*;
    use crate::{Reason, reason_of};

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_at_its_deadline_whatever_it_waits_for() {
        let first = stream::once(async { Ok::<_, Status>(Frame::data(Bytes::from_static(b"news"))) });
        let answers = Body::new(StreamBody::new(first.chain(stream::pending())));
        let begun = Instant::now();
        let mut until = Until::new(answers, begun + Duration::from_secs(2));
        assert_eq!(until.frame().await.unwrap().unwrap().into_data().unwrap(), "news");
        let trailers = until.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
        let status = Status::from_header_map(&trailers).unwrap();
        assert_eq!((status.code(), reason_of(&status)), (Code::DeadlineExceeded, Some(Reason::DeadlineExceeded)));
        assert!(http_body::Body::is_end_stream(&until) && until.frame().await.is_none());
    }

    #[test]
    fn timeouts_are_read_as_the_protocol_says_and_others_are_none() {
        let timeout = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().expect("a header"));
            grpc_timeout(&headers)
        };
        assert_eq!(timeout("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(timeout("1M"), Some(Duration::from_secs(60)));
        assert_eq!(timeout("99999999n"), Some(Duration::from_nanos(99_999_999)));
        assert_eq!(timeout("0m"), Some(Duration::ZERO));
        for bad in ["", "S", "1", "1s", "-1S", "+1S", "999999999S", "1.5S"] {
            assert_eq!(timeout(bad), None, "{bad}");
        }
    }
}

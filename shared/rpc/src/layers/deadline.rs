use std::time::Duration;

use async_trait::async_trait;
use http::HeaderMap;
use tokio::time::Instant;
use tonic::Status;

use super::trace::deadline_exceeded;
use super::{HttpRequest, HttpResponse, Middleware, Next, is_infrastructure};

/// Ends a call at the caller's deadline (`grpc-timeout`), or at the server's own.
/// What the handler was doing is dropped, which cancels its queries. Of a stream
/// that is what comes before its first answer; the rest is the handler's to end.
pub(crate) struct DeadlineLayer {
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
        request.extensions_mut().insert(deadline);
        match tokio::time::timeout_at(deadline.call, next.run(request)).await {
            Ok(response) => response,
            Err(_elapsed) => Status::from(deadline_exceeded()).into_http(),
        }
    }
}

/// `grpc-timeout`: at most 8 digits and a unit (gRPC over HTTP/2, "Timeout").
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
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
    use super::*;

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

//! The errors that a caller can get: a closed set of reasons, each of one kind.

mod reason;
mod status;

use std::borrow::Cow;
use std::time::Duration;

pub use reason::{Kind, Reason};
pub use status::reason_of;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failure on its way to a caller.
///
/// The message is the caller's and says what to do next; the source is ours, is
/// logged once where the error becomes a status, and never crosses the wire.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    reason: Reason,
    message: Cow<'static, str>,
    violations: Vec<FieldViolation>,
    metadata: Vec<(&'static str, String)>,
    retry_after: Option<Duration>,
    source: Option<Source>,
}

/// One broken field of a request (`google.rpc.BadRequest.FieldViolation`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// The field's path, as the proto names it: `person.birth_date`.
    pub field: String,
    /// What it must be.
    pub description: String,
}

impl Error {
    /// An error with the caller's message.
    pub fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            message: message.into(),
            violations: Vec::new(),
            metadata: Vec::new(),
            retry_after: None,
            source: None,
        }
    }

    /// A failure of ours. The caller gets the trace id to quote, and no cause.
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::new(Reason::Internal, "an internal error; quote the request id of this answer when you report it")
            .caused_by(source)
    }

    /// Every broken field at once.
    pub fn fields(violations: Vec<FieldViolation>) -> Self {
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        let message = format!("correct these fields: {}", fields.join(", "));
        Self { violations, ..Self::new(Reason::FieldViolations, message) }
    }

    /// With what went wrong on our side.
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// With how long to wait before another try (`google.rpc.RetryInfo`).
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// With a fact that a program can use (`google.rpc.ErrorInfo.metadata`).
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((key, value.into()));
        self
    }

    /// The stable reason.
    pub fn reason(&self) -> Reason {
        self.reason
    }
}

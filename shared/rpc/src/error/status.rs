//! The one place where errors become statuses.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::{Error, Kind, Reason};

/// `google.rpc.ErrorInfo.domain` of every error of ours.
const DOMAIN: &str = "tenantry";

impl Kind {
    pub(crate) fn code(self) -> Code {
        match self {
            Kind::InvalidArgument => Code::InvalidArgument,
            Kind::NotFound => Code::NotFound,
            Kind::AlreadyExists => Code::AlreadyExists,
            Kind::FailedPrecondition => Code::FailedPrecondition,
            Kind::Aborted => Code::Aborted,
            Kind::Unauthenticated => Code::Unauthenticated,
            Kind::PermissionDenied => Code::PermissionDenied,
            Kind::ResourceExhausted => Code::ResourceExhausted,
            Kind::Unavailable => Code::Unavailable,
            Kind::DeadlineExceeded => Code::DeadlineExceeded,
            Kind::Unimplemented => Code::Unimplemented,
            Kind::Internal => Code::Internal,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        log_cause(&error);
        let metadata = error.metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        let mut details = ErrorDetails::with_error_info(
            error.reason.as_str(),
            DOMAIN,
            metadata.collect::<std::collections::HashMap<_, _>>(),
        );
        for violation in &error.violations {
            details.add_bad_request_violation(&violation.field, &violation.description);
        }
        if let Some(wait) = error.retry_after {
            details.set_retry_info(Some(wait));
        }
        if error.reason.kind() == Kind::FailedPrecondition {
            details.add_precondition_failure_violation(error.reason.as_str(), "", error.message.clone());
        }
        if let Some(trace_id) = tenantry_telemetry::propagation::trace_id() {
            details.set_request_info(trace_id, "");
        }
        Status::with_error_details(error.reason.kind().code(), error.message, details)
    }
}

/// The cause, once, for us. Failures that the caller can mend have none.
fn log_cause(error: &Error) {
    let Some(source) = &error.source else { return };
    let mut chain = source.to_string();
    let mut next = source.source();
    while let Some(cause) = next {
        chain = format!("{chain}: {cause}");
        next = cause.source();
    }
    let reason = error.reason.as_str();
    let trace_id = tenantry_telemetry::propagation::trace_id();
    match error.reason.kind() {
        Kind::Internal => tracing::error!(reason, trace_id, cause = chain, "call failed"),
        _ => tracing::warn!(reason, trace_id, cause = chain, "call failed"),
    }
}

/// The reason in a status of one of our services, if it is one that we know.
pub fn reason_of(status: &Status) -> Option<Reason> {
    let info = status.get_details_error_info()?;
    if info.domain == DOMAIN { info.reason.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::FieldViolation;

    #[test]
    fn a_cause_never_crosses_the_wire() {
        let status = Status::from(Error::internal("password=hunter2 in /etc/secret"));
        assert_eq!(status.code(), Code::Internal);
        let bytes = String::from_utf8_lossy(status.details()).into_owned() + status.message();
        assert!(!bytes.contains("hunter2"), "{bytes}");
        assert_eq!(reason_of(&status), Some(Reason::Internal));
    }

    #[test]
    fn every_violation_and_the_retry_are_there() {
        let violation = |field: &str| FieldViolation { field: field.into(), description: "must be set".into() };
        let status =
            Status::from(Error::fields(vec![violation("name"), violation("slug")]).retry_after(Duration::from_secs(2)));
        let details = status.get_error_details();
        assert_eq!(details.bad_request().expect("violations").field_violations.len(), 2);
        assert_eq!(details.retry_info().expect("retry").retry_delay, Some(Duration::from_secs(2)));
    }

    #[test]
    fn reasons_are_distinct_and_read_back() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
        }
    }
}

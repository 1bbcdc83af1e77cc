//! How a command ends.

use std::process::ExitCode;

use tenantry_rpc::{Reason, reason_of};
use tonic::Status;
use tonic_types::StatusExt;

/// The exit codes, as README lists them. 2 is clap's, for a command line that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Refused or failed.
    Failed,
    /// Done in part: some databases, or some calls of `demo`, failed.
    Partly,
    /// The selector matches nothing.
    Nothing,
    /// Not finished: halted, paused or cancelled.
    Unfinished,
    /// A service, or a database server, cannot be reached.
    Unreachable,
    /// Something differs: pending migrations, drift, or what the servers have.
    Differs,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Partly => 3,
            Exit::Nothing => 4,
            Exit::Unfinished => 5,
            Exit::Unreachable => 6,
            Exit::Differs => 7,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

/// What to say of a failure, and how to end.
pub fn failure_of(error: &anyhow::Error) -> (String, Exit) {
    match error.downcast_ref::<Status>() {
        Some(status) => (refusal(status), exit_of(status)),
        None => (format!("{error:#}"), Exit::Failed),
    }
}

fn exit_of(status: &Status) -> Exit {
    match (reason_of(status), status.code()) {
        (Some(Reason::NoTargets), _) => Exit::Nothing,
        (_, tonic::Code::Unavailable) => Exit::Unreachable,
        _ => Exit::Failed,
    }
}

/// The message, its reason, every broken field, and when to come back.
pub(crate) fn refusal(status: &Status) -> String {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| format!(" ({})", info.reason)).unwrap_or_default();
    let mut text = format!("{}{reason}", status.message());
    for violation in details.bad_request().map(|request| request.field_violations.as_slice()).unwrap_or_default() {
        text.push_str(&format!("\n  {}: {}", violation.field, violation.description));
    }
    if let Some(wait) = details.retry_info().and_then(|info| info.retry_delay) {
        text.push_str(&format!("\n  try again in {} s", wait.as_secs_f64()));
    }
    if let Some(info) = details.request_info() {
        text.push_str(&format!("\n  trace {}", info.request_id));
    }
    text
}

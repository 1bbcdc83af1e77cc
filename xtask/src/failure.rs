use std::{error::Error, process::ExitCode};

use tenantry_testkit::servers::ServerError;

pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command failed, and what to do about it, for the person at the terminal.
#[derive(Debug)]
pub(crate) enum Failure {
    Message(String),
    /// The report was printed, and its last line must stay the last.
    Reported,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Message(message.into())
    }

    pub(crate) fn report(self) -> ExitCode {
        if let Self::Message(message) = self {
            eprintln!("\nxtask: {message}");
        }
        ExitCode::FAILURE
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        match error.source() {
            Some(source) => Self::Message(format!("{error}: {source}")),
            None => Self::Message(error.to_string()),
        }
    }
}

/// Says what we were doing when the operating system refused.
pub(crate) fn doing(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Failure {
    let what = what.into();
    move |error| Failure::Message(format!("could not {what}: {error}"))
}

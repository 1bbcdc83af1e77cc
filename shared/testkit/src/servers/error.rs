use std::{error::Error, fmt, io, path::PathBuf, time::Duration};

/// Why there is no server. Every message says what to do, or shows the end of the server's own log.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// The server's programs are not on this machine.
    NotInstalled { server: &'static str, packages: &'static str },
    /// The package manager was asked for the programs and failed.
    Install { packages: String, output: String },
    /// We are root, and no unprivileged user exists to run the server as.
    NoUnprivilegedUser { wanted: String },
    /// No port was free in the range that we use.
    NoFreePort { tried: u32 },
    /// A file, folder or process operation failed.
    Io { doing: String, source: io::Error },
    /// A program that prepares the server failed.
    Program { program: &'static str, output: String },
    /// The server ended by itself.
    Exited { server: &'static str, log: String },
    /// The server runs, and accepted no login in time.
    NotReady { server: &'static str, waited: Duration, log: String },
    /// The guardian that holds the server does not answer: somebody killed it.
    GuardianGone { server: &'static str },
    /// The server's folder could not be removed, or one of its processes still runs.
    LeftBehind { server: &'static str, folder: PathBuf, processes: Vec<u32> },
}

impl ServerError {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled { server, packages } => {
                write!(f, "{server} is not installed. Install it with the package manager: {packages}")
            }
            Self::Install { packages, output } => {
                write!(f, "could not install {packages}. Install it by hand, then run this again. Output:\n{output}")
            }
            Self::NoUnprivilegedUser { wanted } => {
                write!(f, "a server does not run as root, and none of these users exists: {wanted}")
            }
            Self::NoFreePort { tried } => {
                write!(f, "no free port on 127.0.0.1 after {tried} tries")
            }
            Self::Io { doing, .. } => write!(f, "could not {doing}"),
            Self::Program { program, output } => write!(f, "{program} failed:\n{output}"),
            Self::Exited { server, log } => {
                write!(f, "{server} ended by itself. The end of its log:\n{log}")
            }
            Self::NotReady { server, waited, log } => {
                write!(f, "{server} took no login within {} s. The end of its log:\n{log}", waited.as_secs())
            }
            Self::GuardianGone { server } => {
                write!(f, "the guardian of {server} is gone; start a new server")
            }
            Self::LeftBehind { server, folder, processes } => write!(
                f,
                "{server} left something behind: folder {} {}, processes {processes:?}",
                folder.display(),
                if folder.exists() { "exists" } else { "is removed" },
            ),
        }
    }
}

impl Error for ServerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::NotInstalled { .. }
            | Self::Install { .. }
            | Self::NoUnprivilegedUser { .. }
            | Self::NoFreePort { .. }
            | Self::Program { .. }
            | Self::Exited { .. }
            | Self::NotReady { .. }
            | Self::GuardianGone { .. }
            | Self::LeftBehind { .. } => None,
        }
    }
}

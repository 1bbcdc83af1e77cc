//! TLS of both ends: a port that speaks it, calls over `https`, and certificates that say which service calls.
//!
//! What is read from files is read again while the process runs ([`reload`]): a renewed certificate or another set of
//! trusted authorities needs no restart. What a client's certificate proves is a name of a service by the operator's
//! own list ([`identity`]) and nothing by itself; where a call comes from proves nothing at all.

mod certificate;
mod client;
mod config;
mod connection;
mod files;
mod identity;
mod reload;
mod server;
#[cfg(test)]
mod test_pki;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

pub(crate) use client::Connector;
pub use client::{ClientTls, ClientTlsSettings};
pub use config::TlsConfig;
pub use files::PairFiles;
pub use identity::TlsIdentity;

pub(crate) use connection::Peer;
pub(crate) use server::ServerTls;

use crate::Clock;

/// A file or a set of files that TLS cannot be spoken with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be; what it is, and what to do.
    #[error("{path}: {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// This system trusts nobody.
    #[error("this system has no trusted certificates ({0}): name those to trust with --tls-ca-file")]
    NoSystemRoots(String),
    /// rustls refuses it.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// ring, whatever else is compiled in.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Our clock, as rustls asks for it.
struct Time(Arc<dyn Clock>);

impl Time {
    fn now(&self) -> UnixTime {
        let seconds = u64::try_from(self.0.now().timestamp()).unwrap_or(0);
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.now())
    }
}

impl std::fmt::Debug for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Time")
    }
}

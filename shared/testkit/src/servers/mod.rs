//! Throwaway database servers.
//!
//! ```no_run
//! use tenantry_testkit::servers::{PostgresServer, ServerOptions, install};
//!
//! # fn main() -> Result<(), tenantry_testkit::servers::ServerError> {
//! install::ensure_postgres()?;
//! let server = PostgresServer::start(ServerOptions::default())?;
//! println!("{}", server.admin_url());
//! server.stop()?;
//! # Ok(())
//! # }
//! ```
//!
//! A server lives in one folder: its data, its socket, its log. It listens on loopback only, on a free port, and runs
//! as an unprivileged user when we are root, because PostgreSQL refuses to run as root.
//!
//! **Nothing outlives its owner.** Between us and the server stands a guardian (`guardian.sh`) that reads orders from a
//! pipe held by this process. However this process ends (return, panic, Ctrl-C, SIGKILL), the pipe closes, the guardian
//! stops the server and removes the folder.
//!
//! To add an engine: a file beside `postgres.rs` that says how to initialise a data folder, how to start the server and
//! how to tell that it is ready. The rest is in `process.rs`.

mod disk;
mod error;
mod folder;
mod guardian;
pub mod install;
pub mod leftovers;
mod mariadb;
mod port;
mod postgres;
mod process;
mod programs;
mod secret;
mod unprivileged;

use std::{path::PathBuf, sync::Arc};

pub use disk::SmallDisk;
pub use error::ServerError;
pub use mariadb::MariaDbServer;
pub use port::free_in_a_row;
pub use postgres::PostgresServer;
pub use programs::{MariaDbPrograms, PostgresPrograms};

/// The login that tests administer a server with. It has what a migrator needs, and is no superuser.
pub const ADMIN_ROLE: &str = "tenantry_admin";

/// How to start a server. The defaults suit a whole test suite on a small machine.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The server's own limit on connections.
    pub max_connections: u32,
    /// Further settings, by the server's own names (`log_statement`, `all`). They win over ours.
    pub settings: Vec<(String, String)>,
    /// Where the server's folder is made. Defaults to the system's folder for temporary files. The unprivileged user
    /// must be able to enter it.
    pub parent_folder: Option<PathBuf>,
    /// A disk of its own, for its user ([`PostgresServer::USERS`], [`MariaDbServer::USERS`]); its folder is there.
    pub disk: Option<Arc<SmallDisk>>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self { max_connections: 300, settings: Vec::new(), parent_folder: None, disk: None }
    }
}

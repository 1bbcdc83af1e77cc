//! The migrator: the only process with administrative credentials of database
//! servers. It makes tenants' databases, migrates and seeds them.
//!
//! `grpc` parses, calls and converts; `app` has a function for each use case;
//! `servers` knows how each engine makes a database; `store` is the migrator's
//! own database; `sets` lists the migrations.

mod app;
mod central;
mod command_line;
mod config;
mod grpc;
mod ident;
mod server;
mod servers;
pub mod sets;
mod store;

pub use app::rollouts::EngineSettings;
pub use app::spares::SpareSettings;
pub use central::{CentralError, CentralReport, CentralUrls, migrate_central};
pub use command_line::command_line;
pub use config::MigratorConfig;
pub use ident::{Ident, IdentError, Prefix};
pub use server::{Migrator, NAME, StartError};
pub use servers::ServerAddress;
pub use store::OwnDatabaseConfig;

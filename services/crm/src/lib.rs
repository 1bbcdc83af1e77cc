//! The CRM: the application that companies have their databases for.
//!
//! `grpc` parses, calls and converts; `app` has a function for each use case;
//! `domain` is pure; `store` is SeaORM on the tenant's own database.

mod app;
mod domain;
mod grpc;
mod server;
mod store;

pub use app::transfers::TransferConfig;
pub use server::{CrmConfig, NAME, start};
pub use store::{PLUGINS, SCHEMA, everything};

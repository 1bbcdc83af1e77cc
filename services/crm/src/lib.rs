//! The CRM: the application that companies have their databases for.
//!
//! `grpc` parses, calls and converts; `app` has a function for each use case;
//! `domain` is pure; `store` is SeaORM on the tenant's own database.

mod app;
mod config;
mod domain;
mod grpc;
mod server;
mod store;

pub use config::CrmConfig;
pub use server::{Crm, NAME, StartError};
pub use store::{PLUGINS, SCHEMA};

//! The catalog: companies, their people, their tokens, and where their databases
//! are. It owns the central database and never opens a tenant's.
//!
//! `grpc` parses, calls and converts; `http` has what is read without gRPC; `app` has a function for each use case;
//! `domain` is pure; `store` is SeaORM; `secrets` seals and hashes.

pub(crate) mod app;
mod bootstrap;
mod config;
mod domain;
mod grpc;
mod http;
mod secrets;
mod server;
mod store;

pub use app::changes::WatchSettings;
pub use app::event_log::EventSettings;
pub use app::hooks::{HookCalls, HookConfig};
pub use app::issuers::IssuerSettings;
pub use app::keys::{KeySettings, KeyringError};
pub use app::operators::BootstrapError;
pub use app::provisioning::WorkerSettings;
pub use app::sessions::SessionSettings;
pub use app::throttle::ThrottleSettings;
pub use bootstrap::{ImportError, ImportKey, Imported, Shown, bootstrap_operator, import_signing_key};
pub use config::{CatalogConfig, PublicServer};
pub use secrets::{PasswordConfig, SealingConfig};
pub use server::{Catalog, NAME, StartError};
pub use store::CentralConfig;

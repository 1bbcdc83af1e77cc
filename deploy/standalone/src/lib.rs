//! All three services in one process, and the tour through them.
//!
//! The services share no Rust state: each has its own configuration, its own key
//! and its own port, and they talk gRPC.

pub mod demo;
mod folder;
mod instance;
pub mod operator;
mod service_config;

pub use folder::{DataFolder, FolderError};
pub use instance::{Addresses, Beside, Databases, Instance, InstanceConfig, Server, Tuning};
pub use service_config::service_config;

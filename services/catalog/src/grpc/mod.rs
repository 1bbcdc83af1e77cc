//! The gRPC face: each handler parses, calls a use case, and converts.

mod api_keys;
mod companies;
mod company_requests;
pub(crate) mod convert;
mod cursor;
mod directory;
mod events;
mod issuers;
mod keys;
mod members;
mod passwords;
mod plans;
mod plugins;
mod room;
mod servers;
mod tenant_layer;
mod tokens;
mod watching;

pub(crate) use api_keys::ApiKeyGrpc;
pub(crate) use companies::CompanyGrpc;
pub(crate) use directory::DirectoryGrpc;
pub(crate) use events::EventGrpc;
pub(crate) use issuers::IssuerGrpc;
pub(crate) use keys::KeyGrpc;
pub(crate) use members::MembershipGrpc;
pub(crate) use passwords::PasswordGrpc;
pub(crate) use plans::PlanGrpc;
pub(crate) use plugins::PluginGrpc;
pub(crate) use servers::ServerGrpc;
pub(crate) use tenant_layer::TenantLayer;
pub(crate) use tokens::{OperatorGrpc, TokenGrpc};

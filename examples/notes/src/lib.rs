//! Notes: a second tenant-aware service, beside the crm and without a line of it.
//!
//! `grpc` parses, calls and converts; `store` is SeaORM on the tenant's own database; everything else comes from
//! `shared/`. README.md beside this crate goes through it step by step.

mod grpc;
mod store;

use std::sync::Arc;

use tenantry_rpc::SystemClock;
use tenantry_tenancy::{Schema, StartError, TenantService, TenantServiceConfig};
use tokio::net::TcpListener;

tenantry_api::contract!();
pub use generated::notes::v1;
pub use store::SCHEMA;

/// The service's name: its audience in tokens and its identity among services.
pub const NAME: &str = "notes";

/// Opens everything behind the port that `listener` has. The catalog need not be there yet.
pub async fn start(config: TenantServiceConfig, listener: TcpListener) -> Result<TenantService, StartError> {
    let notes = grpc::NoteGrpc { clock: Arc::new(SystemClock) };
    TenantService::start(NAME, Schema::Plugin("notes", SCHEMA), config, listener, |server| {
        server.descriptors(DESCRIPTORS).service(v1::note_service_server::NoteServiceServer::new(notes))
    })
    .await
}

//! The only road to a tenant's database.
//!
//! A request that passed the tenant layer carries the right to one tenant's
//! database. A handler turns it into a [`TenantDb`], which borrows the request;
//! from that come a [`TenantConn`] (single statements) or a [`TenantTx`]; and a
//! store's functions take `&impl` [`TenantConnection`], on which SeaORM runs:
//!
//! ```
//! use sea_orm::{ConnectionTrait, DbErr, Statement};
//! use tenantry_tenancy::{TenancyError, TenantConnection, TenantDb};
//!
//! // A store: no pool, no tenant id, no way to another database.
//! async fn ready(connection: &impl TenantConnection) -> Result<bool, DbErr> {
//!     let one = Statement::from_string(connection.get_database_backend(), "SELECT 1");
//!     Ok(connection.query_one_raw(one).await?.is_some())
//! }
//!
//! // A use case: one connection or one transaction, from the request's handle.
//! async fn check(db: &TenantDb<'_>) -> Result<bool, TenancyError> {
//!     Ok(ready(&db.read().await?).await?)
//! }
//!
//! // A handler.
//! async fn handle(extensions: &http::Extensions) -> Result<bool, TenancyError> {
//!     match TenantDb::from_extensions(extensions) {
//!         Some(db) => check(&db).await,
//!         None => Ok(false),
//!     }
//! }
//! ```
//!
//! # What must not compile
//!
//! Each pair differs in the one thing that is forbidden.
//!
//! A handle comes out of a request, and is made nowhere else:
//!
//! ```
//! fn handle(extensions: &http::Extensions) -> Option<tenantry_tenancy::TenantDb<'_>> {
//!     tenantry_tenancy::TenantDb::from_extensions(extensions)
//! }
//! ```
//! ```compile_fail,E0451
//! fn handle(extensions: &http::Extensions) -> Option<tenantry_tenancy::TenantDb<'_>> {
//!     Some(tenantry_tenancy::TenantDb { access: extensions.get()? })
//! }
//! ```
//!
//! Nor is what it is made from:
//!
//! ```
//! type Known = tenantry_tenancy::TenantDb<'static>;
//! ```
//! ```compile_fail,E0603
//! type Hidden = tenantry_tenancy::handle::TenantAccess;
//! ```
//!
//! Nor is there another way to a connection:
//!
//! ```
//! fn all(pools: &tenantry_tenancy::Pools, placement: &tenantry_tenancy::Placement) {
//!     let _ = (pools.stats(), placement);
//! }
//! ```
//! ```compile_fail,E0624
//! fn all(pools: &tenantry_tenancy::Pools, placement: &tenantry_tenancy::Placement) {
//!     let _ = (pools.checkout(placement, tokio::time::Instant::now()), placement);
//! }
//! ```
//!
//! A handle does not outlive its request:
//!
//! ```
//! # use tenantry_tenancy::TenantDb;
//! async fn handle(extensions: &http::Extensions) {
//!     let Some(db) = TenantDb::from_extensions(extensions) else { return };
//!     let work = async move { db.read().await.map(|_| ()) };
//!     let _ = work.await;
//! }
//! ```
//! ```compile_fail,E0521
//! # use tenantry_tenancy::TenantDb;
//! async fn handle(extensions: &http::Extensions) {
//!     let Some(db) = TenantDb::from_extensions(extensions) else { return };
//!     let work = async move { db.read().await.map(|_| ()) };
//!     let _ = tokio::spawn(work).await;
//! }
//! ```
//!
//! And neither does a connection outlive the handle:
//!
//! ```
//! # use tenantry_tenancy::{TenantConn, TenantDb, TenancyError};
//! async fn keep<'a>(db: &'a TenantDb<'_>) -> Result<TenantConn<'a>, TenancyError> {
//!     db.read().await
//! }
//! ```
//! ```compile_fail,E0597
//! # use tenantry_tenancy::{TenantConn, TenantDb, TenancyError};
//! async fn keep<'a>(db: TenantDb<'a>) -> Result<TenantConn<'a>, TenancyError> {
//!     db.read().await
//! }
//! ```
//!
//! A handle cannot be cloned:
//!
//! ```
//! fn both<'a>(db: &'a tenantry_tenancy::TenantDb<'_>) -> [&'a tenantry_tenancy::TenantDb<'a>; 2] {
//!     [db, db]
//! }
//! ```
//! ```compile_fail,E0308
//! fn both<'a>(db: &'a tenantry_tenancy::TenantDb<'_>) -> [tenantry_tenancy::TenantDb<'a>; 2] {
//!     [db.clone(), db.clone()]
//! }
//! ```
//!
//! A store for tenants takes no other database:
//!
//! ```
//! # use tenantry_tenancy::{TenantConn, TenantConnection};
//! fn store(_: &impl TenantConnection) {}
//! fn tenants(connection: &TenantConn<'_>) {
//!     store(connection);
//! }
//! ```
//! ```compile_fail,E0277
//! # use tenantry_tenancy::{TenantConn, TenantConnection};
//! fn store(_: &impl TenantConnection) {}
//! fn tenants(connection: &sea_orm::DatabaseConnection) {
//!     store(connection);
//! }
//! ```
//!
//! Nor can another be declared to be one:
//!
//! ```
//! struct Mine;
//! trait TenantConnection {}
//! impl TenantConnection for Mine {}
//! ```
//! ```compile_fail,E0277
//! struct Mine;
//! use tenantry_tenancy::TenantConnection;
//! impl TenantConnection for Mine {}
//! ```
//!
//! And central code takes no tenant's:
//!
//! ```
//! # use tenantry_tenancy::TenantConn;
//! fn central(_: &sea_orm::DatabaseConnection) {}
//! fn wrong(connection: &sea_orm::DatabaseConnection) {
//!     central(connection);
//! }
//! ```
//! ```compile_fail,E0308
//! # use tenantry_tenancy::TenantConn;
//! fn central(_: &sea_orm::DatabaseConnection) {}
//! fn wrong(connection: &TenantConn<'_>) {
//!     central(connection);
//! }
//! ```

mod control_plane;
mod directory;
mod engine;
mod error;
mod figures;
mod follower;
mod gate;
mod grpc_directory;
mod handle;
mod layer;
mod limits;
mod placement;
mod pool;
mod revocations;
mod service;
mod stream;
#[cfg(test)]
mod tests;

pub use control_plane::CONTROL_PLANE;
pub use directory::{
    CachedDirectory, Directory, FileDirectory, FileDirectoryError, PlacementCacheConfig, ResolveError,
};
pub use engine::Isolation;
pub use error::{CheckoutError, ConfigError, Retryable, TenancyError};
pub use follower::{FollowConfig, TenantFollower};
pub use gate::{Schema, SchemaGate, SchemaRange};
pub use grpc_directory::GrpcDirectory;
pub use handle::{TenantConn, TenantConnection, TenantDb, TenantTx, TxOptions, TxScope};
pub use layer::{TenancyLayer, TenantCall};
pub use limits::{LimitConfig, Limits};
pub use placement::{Endpoint, Engine, InstalledPlugin, Placement, TenantState};
pub use pool::{EvictionPolicy, PoolConfig, PoolStats, Pools};
pub use revocations::Revocations;
pub use service::{StartError, TenantService, TenantServiceConfig};
pub use stream::TenantStream;

//! How administrative connections are made.

use std::time::Duration;

use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use tokio::runtime::Handle;
use tokio::task::{JoinError, spawn_blocking};

use super::ServerError;

/// How long connecting to a server may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A pool of one connection, as migrations need it.
#[allow(clippy::disallowed_methods)] // Administrative connections are opened here alone.
pub(crate) async fn connect_one(mut options: ConnectOptions) -> Result<DatabaseConnection, ServerError> {
    options
        .max_connections(1)
        .acquire_timeout(CONNECT_TIMEOUT)
        // It has just been made, and lives for one piece of work.
        .test_before_acquire(false)
        .set_application_name("tenantry-migrator")
        .sqlx_logging(false)
        .record_stmt_in_spans(false);
    let connected = on_own_thread(Database::connect(options)).await;
    connected.map_err(|crashed| ServerError::Unavailable(crashed.into()))?.map_err(ServerError::from)
}

/// Connects on a thread of its own. PostgreSQL's driver gives way to other tasks 819 times while it proves a password
/// (SCRAM with 4,096 iterations), and on a worker each time goes through the runtime's queues and every span around the
/// call: it cost as much as everything else about a connection, and more than [`CONNECT_TIMEOUT`] where the workers
/// were busy.
pub(super) async fn on_own_thread<T: Send + 'static>(
    connecting: impl Future<Output = T> + Send + 'static,
) -> Result<T, JoinError> {
    let runtime = Handle::current();
    spawn_blocking(move || runtime.block_on(connecting)).await
}

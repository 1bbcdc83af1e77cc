//! PostgreSQL connections.

use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::{ConnectSettings, Login, say_goodbye};

/// How often a busy backend looks whether its client is still there. Without
/// it, a backend runs an abandoned statement to its end.
const CLIENT_CHECK: Duration = Duration::from_millis(500);

/// How long an abandoned statement may take to finish by itself before the
/// socket is dropped under it.
const DRAIN: Duration = Duration::from_millis(100);

pub(super) async fn connect(
    login: Login<'_>,
    database: &str,
    settings: &ConnectSettings,
) -> Result<PgConnection, sqlx::Error> {
    PgConnectOptions::new_without_pgpass()
        .host(login.host)
        .port(login.port)
        .username(login.user)
        .password(login.password.expose_secret())
        .database(database)
        .application_name(&settings.application_name)
        .statement_cache_capacity(settings.statement_cache_capacity)
        .options([("client_connection_check_interval", CLIENT_CHECK.as_millis().to_string())])
        .disable_statement_logging()
        .connect()
        .await
}

/// sqlx gives neither the cancel key nor the socket away, so the backend cannot
/// be told to stop, nor its end be seen. But a statement that ends in time can
/// be waited for, and a backend that is still busy notices the dropped socket
/// within [`CLIENT_CHECK`].
pub(super) async fn abandon(mut connection: PgConnection) {
    match tokio::time::timeout(DRAIN, connection.ping()).await {
        Ok(_) => say_goodbye(connection).await,
        Err(_) => {
            let _ = connection.close_hard().await;
            tokio::time::sleep(CLIENT_CHECK * 2).await;
        }
    }
}

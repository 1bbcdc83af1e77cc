//! MySQL and MariaDB connections.

use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, MySqlConnection};

use super::{ConnectSettings, Login, say_goodbye};

/// What every session relies on, in one round trip instead of sqlx's own:
/// strictness whatever the server's default, UTC, and full Unicode.
const SESSION: &str = "SET sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,\
                       ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,PIPES_AS_CONCAT', \
                       time_zone = '+00:00', NAMES utf8mb4";

pub(super) async fn connect(
    login: Login<'_>,
    database: &str,
    settings: &ConnectSettings,
) -> Result<MySqlConnection, sqlx::Error> {
    let mut connection = MySqlConnectOptions::new()
        .host(login.host)
        .port(login.port)
        .username(login.user)
        .password(login.password.expose_secret())
        .database(database)
        .statement_cache_capacity(settings.statement_cache_capacity)
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .set_names(false)
        .disable_statement_logging()
        .connect()
        .await?;
    connection.execute(SESSION).await?;
    Ok(connection)
}

/// The longest wait for an abandoned statement. After so long without a word
/// the network is gone rather than the statement slow.
const DRAIN: Duration = Duration::from_secs(900);

/// A server thread does not notice that its client is gone while a statement
/// runs, so the statement's end is waited for: the thread is there all the
/// time. An operator bounds it with the server's `max_statement_time`.
pub(super) async fn abandon(mut connection: MySqlConnection) {
    if let Ok(Ok(())) = tokio::time::timeout(DRAIN, connection.ping()).await {
        say_goodbye(connection).await;
    }
}

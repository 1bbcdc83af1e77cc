//! The programs themselves, as an operator runs them: one process on SQLite, and three on a database server.

mod control_plane;
mod demo;
mod deployment;
mod fleet;
mod full_disk;
mod health;
mod isolation;
mod mariadb;
mod operator;
mod outage;
mod postgres;
mod reconciling;
mod refusals;
mod rolling;
mod sqlite;
mod standalone;
mod stopping;
mod tour;

pub(crate) use deployment::{Deployment, ISSUER, serve};
pub(crate) use standalone::Standalone;
pub(crate) use tour::Inhabited;

use std::process::Command;
use std::time::{Duration, Instant};

use tenantry_testkit::process::run;
use tenantry_testkit::sandbox::OnServer;
use tenantry_testkit::servers::PostgresPrograms;

/// Looks until there is something to see. A bound for what never comes, no measure of speed.
pub(crate) async fn eventually<T, F: Future<Output = anyhow::Result<Option<T>>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> anyhow::Result<T> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        anyhow::ensure!(Instant::now() < until, "never seen: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a statement answers in a database, by psql.
pub(crate) async fn psql(server: &OnServer, database: &str, sql: &str) -> anyhow::Result<String> {
    let mut psql = Command::new(PostgresPrograms::find()?.psql);
    psql.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]).arg(server.url_of(database));
    Ok(run(psql).await?.success()?.trim().to_owned())
}

use sqlx::Connection;
use sqlx::mysql::MySqlConnection;
use tenantry_migration::Run;
use tenantry_store::traced;

use super::super::scratch::note_leftovers;
use super::{Goal, MySqlServer, NewTenant, ServerError, drop_with_users, lock, lock_name, span, try_lock};
use crate::ident::Ident;

/// A session that holds a scratch database's name.
pub(crate) struct MySqlScratch<'s> {
    server: &'s MySqlServer,
    admin: MySqlConnection,
}

impl MySqlServer {
    pub(crate) async fn hold_scratch(&self, name: &Ident, family: &Ident) -> Result<MySqlScratch<'_>, ServerError> {
        let mut admin = self.connect().await?;
        note_leftovers(sweep(&mut admin, family).await);
        lock(&mut admin, name).await?;
        Ok(MySqlScratch { server: self, admin })
    }
}

impl MySqlScratch<'_> {
    pub(crate) async fn make(&mut self, new: &NewTenant, goal: Goal<'_>, run: &Run) -> Result<(), ServerError> {
        self.server.create_database(&mut self.admin, &new.name).await?;
        self.server.fill(&mut self.admin, new, goal, run).await
    }

    pub(crate) async fn drop_database(mut self, name: &Ident) -> Result<(), ServerError> {
        let dropped = drop_with_users(&mut self.admin, name, &[name]).await;
        // Closing gives the lock back.
        self.admin.close().await.map_err(ServerError::refused("closing"))?;
        dropped
    }
}

async fn sweep(admin: &mut MySqlConnection, family: &Ident) -> Result<(), ServerError> {
    for name in named(admin, family).await? {
        let name = Ident::new(name)?;
        if try_lock(admin, &name, 0).await? {
            tracing::info!(database = name.as_str(), "dropping a scratch database that was left behind");
            drop_with_users(admin, &name, &[&name]).await?;
            let query = "DO RELEASE_LOCK(?)";
            let unlocking = sqlx::query(query).bind(lock_name(&name)).execute(&mut *admin);
            traced(span(query), unlocking).await.map_err(ServerError::refused("unlocking"))?;
        }
    }
    Ok(())
}

/// Databases and users whose names begin so.
async fn named(admin: &mut MySqlConnection, family: &Ident) -> Result<Vec<String>, ServerError> {
    let query = "SELECT CONVERT(schema_name USING utf8mb4) FROM information_schema.schemata \
                 WHERE LEFT(schema_name, CHAR_LENGTH(?)) = ? \
                 UNION SELECT CONVERT(user USING utf8mb4) FROM mysql.user WHERE LEFT(user, CHAR_LENGTH(?)) = ?";
    let listing = (0..4).fold(sqlx::query_scalar(query), |query, _| query.bind(family.as_str()));
    traced(span(query), listing.fetch_all(admin)).await.map_err(ServerError::refused("looking for scratch databases"))
}

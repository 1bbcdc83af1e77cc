//! Dropping a tenant's database and its login role.

use super::PostgresServer;
use super::admin::Admin;
use crate::ident::Ident;
use crate::servers::ServerError;

impl PostgresServer {
    pub(crate) async fn drop_database(
        &self,
        name: &Ident,
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let mut admin = Admin::connect(&self.options).await?;
        let dropped = drop_with(&mut admin, name, confirmed).await;
        // Closing gives the lock back, whatever happened.
        admin.close().await?;
        dropped
    }
}

async fn drop_with(
    admin: &mut Admin,
    name: &Ident,
    confirmed: impl Future<Output = Result<(), ServerError>> + Send,
) -> Result<(), ServerError> {
    admin.lock(name).await?;
    confirmed.await?;
    let quoted = name.quoted();
    if admin.role_exists(name).await? {
        // From here on nobody can come; and only a member of a role may end its sessions.
        let shut = format!("ALTER ROLE {quoted} NOLOGIN; GRANT {quoted} TO CURRENT_USER");
        admin.execute("shutting the login role out", shut).await?;
    }
    if admin.database_exists(name).await? {
        drop_in_use(admin, name).await?;
    }
    // Memberships go with the role, and its one grant went with the database.
    admin.execute("dropping the login role", format!("DROP ROLE IF EXISTS {quoted}")).await
}

/// Drops a database that somebody may be connected to.
pub(super) async fn drop_in_use(admin: &mut Admin, name: &Ident) -> Result<(), ServerError> {
    let quoted = name.quoted();
    admin.execute("closing the database", format!("ALTER DATABASE {quoted} ALLOW_CONNECTIONS false")).await?;
    let forced = format!("DROP DATABASE {quoted} WITH (FORCE)");
    match admin.execute("dropping the database", forced).await {
        // FORCE refuses while an autovacuum worker is there, which no administrator may end. The plain command asks the
        // worker to leave, and waits; but nobody else may be there.
        Err(ServerError::Refused { .. }) => {
            admin.end_sessions(name).await?;
            admin.execute("dropping the database", format!("DROP DATABASE IF EXISTS {quoted}")).await
        }
        other => other,
    }
}

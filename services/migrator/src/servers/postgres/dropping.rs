//! Dropping a tenant's database and its login roles.

use tenantry_rpc::failpoint;

use super::PostgresServer;
use super::admin::Admin;
use crate::ident::Ident;
use crate::servers::ServerError;

impl PostgresServer {
    pub(crate) async fn drop_database(
        &self,
        name: &Ident,
        roles: &[&Ident],
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let mut admin = Admin::connect(&self.options).await?;
        let dropped = drop_with(&mut admin, name, roles, confirmed).await;
        // Closing gives the lock back, whatever happened.
        admin.close().await?;
        dropped
    }

    /// Drops a tenant's login roles, and leaves the database.
    pub(crate) async fn drop_logins(
        &self,
        name: &Ident,
        roles: &[&Ident],
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let mut admin = Admin::connect(&self.options).await?;
        let dropped = async {
            admin.lock(name).await?;
            confirmed.await?;
            for role in roles {
                if !admin.role_exists(role).await? {
                    continue;
                }
                if admin.database_exists(name).await? {
                    let revoke = format!("REVOKE ALL ON DATABASE {} FROM {}", name.quoted(), role.quoted());
                    admin.execute("shutting the login role out", revoke).await?;
                }
                admin.execute("dropping the login role", format!("DROP ROLE {}", role.quoted())).await?;
            }
            Ok(())
        };
        let dropped = dropped.await;
        admin.close().await?;
        dropped
    }
}

async fn drop_with(
    admin: &mut Admin,
    name: &Ident,
    roles: &[&Ident],
    confirmed: impl Future<Output = Result<(), ServerError>> + Send,
) -> Result<(), ServerError> {
    admin.lock(name).await?;
    confirmed.await?;
    failpoint::pass("drop_database:confirmed");
    for role in roles {
        if admin.role_exists(role).await? {
            let quoted = role.quoted();
            // From here on nobody can come; and only a member of a role may end its sessions.
            let shut = format!("ALTER ROLE {quoted} NOLOGIN; GRANT {quoted} TO CURRENT_USER");
            admin.execute("shutting the login role out", shut).await?;
        }
    }
    if admin.database_exists(name).await? {
        drop_in_use(admin, name, roles).await?;
    }
    failpoint::pass("drop_database:gone");
    for role in roles {
        // Memberships go with the role, and its one grant went with the database.
        admin.execute("dropping the login role", format!("DROP ROLE IF EXISTS {}", role.quoted())).await?;
    }
    Ok(())
}

/// Drops a database that somebody may be connected to.
pub(super) async fn drop_in_use(admin: &mut Admin, name: &Ident, roles: &[&Ident]) -> Result<(), ServerError> {
    let quoted = name.quoted();
    admin.execute("closing the database", format!("ALTER DATABASE {quoted} ALLOW_CONNECTIONS false")).await?;
    let forced = format!("DROP DATABASE {quoted} WITH (FORCE)");
    match admin.execute("dropping the database", forced).await {
        // FORCE refuses while an autovacuum worker is there, which no administrator may end. The plain command asks the
        // worker to leave, and waits; but nobody else may be there.
        Err(ServerError::Refused { .. }) => {
            admin.end_sessions(name, roles).await?;
            admin.execute("dropping the database", format!("DROP DATABASE IF EXISTS {quoted}")).await
        }
        other => other,
    }
}

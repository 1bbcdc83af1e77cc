//! The login roles of a tenant's database, which take turns.

use super::admin::Admin;
use super::{PostgresServer, Roles};
use crate::ident::Ident;
use crate::servers::{NewTenant, ServerError};

impl PostgresServer {
    pub(crate) async fn set_credential(
        &self,
        tenant: &NewTenant,
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let mut admin = Admin::connect(&self.options).await?;
        let set = async {
            admin.lock(&tenant.name).await?;
            confirmed.await?;
            ensure_login(&mut admin, &self.roles()?, tenant).await?;
            let grant = format!("GRANT CONNECT ON DATABASE {} TO {}", tenant.name.quoted(), tenant.role.quoted());
            admin.execute("letting the login role in", grant).await
        };
        let set = set.await;
        // Closing gives the lock back, whatever happened.
        admin.close().await?;
        set
    }

    /// The rights go too: a session that is still open can do nothing from here on, and a role at rest has nothing that
    /// a comparison of catalogues would find.
    pub(crate) async fn lock_credential(
        &self,
        name: &Ident,
        role: &Ident,
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let mut admin = Admin::connect(&self.options).await?;
        let locked = async {
            admin.lock(name).await?;
            confirmed.await?;
            if !admin.role_exists(role).await? {
                return Ok(());
            }
            let (database, role, group) = (name.quoted(), role.quoted(), self.roles()?.group.quoted());
            let lock = format!(
                "ALTER ROLE {role} NOLOGIN; REVOKE CONNECT ON DATABASE {database} FROM {role}; \
                 REVOKE {group} FROM {role}"
            );
            admin.execute("locking the login role", lock).await
        };
        let locked = locked.await;
        admin.close().await?;
        locked
    }
}

/// The role of a tenant to come.
pub(super) async fn create_without_login(admin: &mut Admin, roles: &Roles, role: &Ident) -> Result<(), ServerError> {
    let create = format!("CREATE ROLE {} NOLOGIN IN ROLE {}", role.quoted(), roles.group.quoted());
    admin.execute("creating a spare's role", create).await
}

/// Lets the tenant log in by a role that has everything else.
pub(super) async fn set_password(admin: &mut Admin, tenant: &NewTenant) -> Result<(), ServerError> {
    let (role, verifier) = (tenant.role.quoted(), &tenant.verifier.scram_sha_256);
    let alter = format!("ALTER ROLE {role} LOGIN PASSWORD '{verifier}'");
    admin.execute("setting the login role's password", alter).await
}

/// The tenant's role with its password and the rights of all tenants, whatever it was before.
pub(super) async fn ensure_login(admin: &mut Admin, roles: &Roles, tenant: &NewTenant) -> Result<(), ServerError> {
    let (role, group, verifier) = (tenant.role.quoted(), roles.group.quoted(), &tenant.verifier.scram_sha_256);
    if !admin.role_exists(&tenant.role).await? {
        let create = format!("CREATE ROLE {role} LOGIN PASSWORD '{verifier}' IN ROLE {group}");
        return admin.execute("creating the login role", create).await;
    }
    let alter = format!("ALTER ROLE {role} LOGIN PASSWORD '{verifier}'; GRANT {group} TO {role}");
    admin.execute("setting the login role's password", alter).await
}

use std::collections::BTreeSet;

use super::PostgresServer;
use super::admin::Admin;
use super::scratch::drop_database;
use crate::ident::Ident;
use crate::servers::ServerError;
use crate::servers::inventory::Inventory;

impl PostgresServer {
    pub(crate) async fn inventory(&self) -> Result<Inventory, ServerError> {
        let mut admin = Admin::connect(&self.options).await?;
        let found = async {
            let databases = admin.databases().await?.into_iter().collect();
            let roles = admin.tenant_roles(&self.prefix, &self.roles()?.group).await?;
            Ok(Inventory { databases, roles, is_nowhere: false })
        };
        let found = found.await;
        admin.close().await?;
        found
    }

    pub(crate) async fn unheld(&self, names: &[Ident]) -> Result<BTreeSet<String>, ServerError> {
        let mut admin = Admin::connect(&self.options).await?;
        let mut free = BTreeSet::new();
        let asked = async {
            for name in names {
                if !admin.is_locked(name).await? {
                    free.insert(name.as_str().to_owned());
                }
            }
            Ok(())
        };
        let asked = asked.await;
        admin.close().await?;
        asked.map(|()| free)
    }

    pub(crate) async fn drop_leftover(&self, name: &Ident) -> Result<bool, ServerError> {
        let mut admin = Admin::connect(&self.options).await?;
        let dropped = async {
            // A template was finished, or somebody is at it.
            if !admin.try_lock(name).await? || admin.template_exists(name).await? {
                return Ok(false);
            }
            drop_database(&mut admin, name).await.map(|()| true)
        };
        let dropped = dropped.await;
        // Closing gives the lock back, whatever happened.
        admin.close().await?;
        dropped
    }

    pub(crate) async fn restore_login(
        &self,
        name: &Ident,
        role: &Ident,
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let mut admin = Admin::connect(&self.options).await?;
        let restored = async {
            admin.lock(name).await?;
            confirmed.await?;
            let (database, role, group) = (name.quoted(), role.quoted(), self.roles()?.group.quoted());
            let restore = format!(
                "GRANT {group} TO {role}; GRANT CONNECT ON DATABASE {database} TO {role}; ALTER ROLE {role} LOGIN"
            );
            admin.execute("restoring the login role", restore).await
        };
        let restored = restored.await;
        admin.close().await?;
        restored
    }
}

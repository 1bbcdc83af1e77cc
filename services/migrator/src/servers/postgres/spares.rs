//! A clone made ahead: everything that a tenant's database has, but a login that anybody can use.

use tenantry_migration::{MigrationSet, Run};

use super::admin::Admin;
use super::{PostgresServer, Roles, credentials};
use crate::ident::Ident;
use crate::servers::{NewTenant, ServerError};

impl PostgresServer {
    /// Under the lock of its name: whoever drops it waits until this is over.
    pub(crate) async fn make_spare(&self, name: &Ident, set: &MigrationSet, run: &Run) -> Result<(), ServerError> {
        let mut admin = Admin::connect(&self.options).await?;
        let made = self.make_spare_with(&mut admin, name, set, run).await;
        // Closing gives the locks back, whatever happened.
        admin.close().await?;
        made?;
        // The first connection to a clone costs twice.
        Ok(self.open(name).await?.close().await?)
    }

    async fn make_spare_with(
        &self,
        admin: &mut Admin,
        name: &Ident,
        set: &MigrationSet,
        run: &Run,
    ) -> Result<(), ServerError> {
        let roles: Roles = self.roles()?;
        admin.lock(name).await?;
        self.clone_template(admin, &roles, name, set, run).await?;
        credentials::create_without_login(admin, &roles, name).await?;
        self.open_door(admin, name, name).await
    }

    /// Gives a spare to a tenant: from here on it is one of the tenants' databases.
    ///
    /// `still_wanted` is asked under the lock that dropping takes too.
    pub(crate) async fn hand_over(
        &self,
        tenant: &NewTenant,
        still_wanted: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let mut admin = Admin::connect(&self.options).await?;
        let handed = async {
            admin.lock(&tenant.name).await?;
            still_wanted.await?;
            credentials::set_password(&mut admin, tenant).await
        };
        let handed = handed.await;
        admin.close().await?;
        handed
    }
}

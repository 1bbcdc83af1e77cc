use tenantry_migration::Run;

use super::super::scratch::note_leftovers;
use super::super::{Goal, NewTenant, ServerError};
use super::PostgresServer;
use super::admin::Admin;
use super::dropping::drop_in_use;
use crate::ident::Ident;

/// A session that holds a scratch database's name.
pub(crate) struct PostgresScratch<'s> {
    server: &'s PostgresServer,
    admin: Admin,
}

impl PostgresServer {
    pub(crate) async fn hold_scratch(&self, name: &Ident, family: &Ident) -> Result<PostgresScratch<'_>, ServerError> {
        let mut admin = Admin::connect(&self.options).await?;
        note_leftovers(sweep(&mut admin, family).await);
        admin.lock(name).await?;
        Ok(PostgresScratch { server: self, admin })
    }
}

impl PostgresScratch<'_> {
    /// From nothing, never a clone: a template that somebody has changed must not be the measure.
    pub(crate) async fn make(&mut self, new: &NewTenant, goal: Goal<'_>, run: &Run) -> Result<(), ServerError> {
        let roles = self.server.roles()?;
        self.server.make_from_nothing(&mut self.admin, &roles, &new.name, goal, run).await?;
        self.server.open_for_tenant(&mut self.admin, &roles, new).await
    }

    pub(crate) async fn drop_database(mut self, name: &Ident) -> Result<(), ServerError> {
        let dropped = drop_database(&mut self.admin, name).await;
        // Closing gives the lock back.
        self.admin.close().await?;
        dropped
    }
}

async fn sweep(admin: &mut Admin, family: &Ident) -> Result<(), ServerError> {
    for name in admin.named(family).await? {
        let name = Ident::new(name)?;
        if admin.try_lock(&name).await? {
            tracing::info!(database = name.as_str(), "dropping a scratch database that was left behind");
            drop_database(admin, &name).await?;
            admin.unlock(&name).await?;
        }
    }
    Ok(())
}

/// With its role.
pub(super) async fn drop_database(admin: &mut Admin, name: &Ident) -> Result<(), ServerError> {
    if admin.database_exists(name).await? {
        drop_in_use(admin, name, &[name]).await?;
    }
    admin.execute("dropping a scratch role", format!("DROP ROLE IF EXISTS {}", name.quoted())).await
}

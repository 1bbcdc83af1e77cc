//! One template per server and state of the tenant set.

use sea_orm::ConnectionTrait;
use tenantry_migration::{LEDGER, MigrationSet, Run, migrate};

use super::admin::Admin;
use super::{PostgresServer, Roles};
use crate::ident::Ident;
use crate::servers::collation::Collation;
use crate::servers::{Goal, ServerError};

/// Hex digits of the set's digest in a template's name.
const DIGEST_CHARS: usize = 16;

impl PostgresServer {
    /// One sum over all that makes a new database what it is.
    pub(crate) fn digest(&self, set: &MigrationSet) -> Result<String, ServerError> {
        let Collation { charset, collation } = &self.collation;
        let ours = self.collation == Collation::of_postgres();
        let beside: &[&str] = if ours { &[] } else { &[charset, collation] };
        Ok(set.checksum_beside(sea_orm::DbBackend::Postgres, beside)?)
    }

    /// The template for this set, made if it is not there. One that was begun and
    /// not finished is made anew.
    pub(super) async fn ensure_template(
        &self,
        admin: &mut Admin,
        roles: &Roles,
        set: &MigrationSet,
        run: &Run,
    ) -> Result<Ident, ServerError> {
        let digest = self.digest(set)?;
        let name = self.prefix.with(&format!("template_{}", &digest[..DIGEST_CHARS]))?;
        if admin.template_exists(&name).await? {
            return Ok(name);
        }
        admin.lock(&name).await?;
        if !admin.template_exists(&name).await? {
            self.make_template(admin, roles, &name, set, run).await?;
        }
        admin.unlock(&name).await?;
        Ok(name)
    }

    async fn make_template(
        &self,
        admin: &mut Admin,
        roles: &Roles,
        name: &Ident,
        set: &MigrationSet,
        run: &Run,
    ) -> Result<(), ServerError> {
        tracing::info!(template = name.as_str(), "making a template");
        let template = name.quoted();
        admin.execute("dropping an unfinished template", format!("DROP DATABASE IF EXISTS {template}")).await?;
        self.make_from_nothing(admin, roles, name, Goal { set, version: None }, run).await?;
        admin.execute("closing the template", format!("ALTER DATABASE {template} ALLOW_CONNECTIONS false")).await?;
        // The mark of a finished one, so it comes last.
        admin.execute("finishing the template", format!("ALTER DATABASE {template} IS_TEMPLATE true")).await
    }

    /// A database that nobody may connect to yet, with the schema and its grants; no clone, but what is cloned.
    pub(super) async fn make_from_nothing(
        &self,
        admin: &mut Admin,
        roles: &Roles,
        name: &Ident,
        goal: Goal<'_>,
        run: &Run,
    ) -> Result<(), ServerError> {
        ensure_shared_roles(admin, roles).await?;
        // From template0: nothing that an administrator has put into template1.
        let (database, owner, Collation { charset, collation }) =
            (name.quoted(), roles.owner.quoted(), &self.collation);
        let create = format!(
            "CREATE DATABASE {database} OWNER {owner} TEMPLATE template0 ENCODING '{charset}' LC_COLLATE '{collation}' \
             LC_CTYPE '{collation}'"
        );
        admin.execute("creating the database", create).await?;
        admin.execute("closing the database", format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC")).await?;
        self.fill(roles, name, goal, run).await
    }

    async fn fill(&self, roles: &Roles, name: &Ident, goal: Goal<'_>, run: &Run) -> Result<(), ServerError> {
        let db = self.open(name).await?;
        // Rights first: they are for every table that a migration makes, now or later, here or in a clone.
        db.execute_unprepared(&rights(roles)).await?;
        migrate(&db, goal.set, goal.version, run).await?;
        db.execute_unprepared(&ledger_rights(roles)).await?;
        db.close().await?;
        Ok(())
    }
}

/// What the tenants' group may do in a database of the owner role.
pub(super) fn rights(roles: &Roles) -> String {
    let group = roles.group.quoted();
    format!(
        "REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO {group}; \
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {group}; \
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {group}"
    )
}

/// The ledger is the migrator's to write.
pub(super) fn ledger_rights(roles: &Roles) -> String {
    format!("REVOKE INSERT, UPDATE, DELETE ON {LEDGER} FROM {}", roles.group.quoted())
}

/// The roles that all tenants share.
pub(super) async fn ensure_shared_roles(admin: &mut Admin, roles: &Roles) -> Result<(), ServerError> {
    for role in [&roles.owner, &roles.group] {
        ensure_role(admin, role).await?;
    }
    // Making a database for an owner takes membership in that role. Not granted again: two who do so at once collide.
    if !admin.has_role(&roles.owner).await? {
        admin.execute("joining the owner role", format!("GRANT {} TO CURRENT_USER", roles.owner.quoted())).await?;
    }
    Ok(())
}

/// Roles belong to the server, so two makers of templates can meet here: the
/// second one's "already exists" is as good.
async fn ensure_role(admin: &mut Admin, role: &Ident) -> Result<(), ServerError> {
    if admin.role_exists(role).await? {
        return Ok(());
    }
    let created = admin.execute("creating a role", format!("CREATE ROLE {} NOLOGIN", role.quoted())).await;
    match created {
        Err(_) if admin.role_exists(role).await? => Ok(()),
        other => other,
    }
}

//! PostgreSQL: a tenant's database is a clone of a template.
//!
//! Objects belong to an owner role that nobody logs in as. The template grants
//! rows to one group role; each tenant's login role is in that group and may
//! connect to its own database only. A clone keeps owners and object grants and
//! loses database grants, so those are made anew: the clone opens for connections
//! only when nobody but its tenant can make one.

mod admin;
mod adoption;
mod credentials;
mod dropping;
mod inventory;
mod scratch;
mod spares;
mod template;

use sea_orm::{ConnectOptions, DatabaseConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tenantry_migration::{Applied, MigrationSet, Run, migrate, migrate_at_once};
use tenantry_rpc::failpoint;

use self::admin::Admin;
pub(crate) use self::scratch::PostgresScratch;
use super::collation::Collation;
use super::connecting::on_own_thread;
use super::{CONNECT_TIMEOUT, NewTenant, ServerError, connect_one};
use crate::ident::{Ident, Prefix};

/// A PostgreSQL server.
pub(crate) struct PostgresServer {
    url: String,
    options: PgConnectOptions,
    prefix: Prefix,
    collation: Collation,
}

/// The roles that all tenants of a server share.
pub(super) struct Roles {
    /// Owns every object; nobody logs in as it.
    pub(super) owner: Ident,
    /// May work with rows; each tenant's login role is a member.
    pub(super) group: Ident,
}

impl PostgresServer {
    pub(crate) fn new(url: &str, prefix: Prefix) -> Result<Self, ServerError> {
        let (url, collation) = Collation::taken_from(url, Collation::of_postgres())?;
        let options: PgConnectOptions =
            url.parse().map_err(|error: sqlx::Error| ServerError::Config(error.to_string()))?;
        let options = options.application_name("tenantry-migrator").disable_statement_logging();
        Ok(Self { url, options, prefix, collation })
    }

    fn roles(&self) -> Result<Roles, ServerError> {
        Ok(Roles { owner: self.prefix.with("owner")?, group: self.prefix.with("tenants")? })
    }

    pub(crate) async fn create(
        &self,
        new: &NewTenant,
        set: &MigrationSet,
        run: &Run,
        still_wanted: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let mut admin = Admin::connect(&self.options).await?;
        let made = self.create_with(&mut admin, new, set, run, still_wanted).await;
        // Closing gives the locks back, whatever happened.
        admin.close().await?;
        made?;
        // The first connection to a clone costs twice; it is made here, not by
        // the first request. It also brings an older one up to date.
        let db = self.open(&new.name).await?;
        let migrated = migrate(&db, set, None, run).await;
        db.close().await?;
        Ok(migrated.map(drop)?)
    }

    pub(crate) async fn rehearse(&self, set: &MigrationSet, run: &Run) -> Result<(), ServerError> {
        let mut admin = Admin::connect(&self.options).await?;
        let made = self.ensure_template(&mut admin, &self.roles()?, set, run).await;
        admin.close().await?;
        made.map(drop)
    }

    async fn create_with(
        &self,
        admin: &mut Admin,
        new: &NewTenant,
        set: &MigrationSet,
        run: &Run,
        still_wanted: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let roles = self.roles()?;
        admin.lock(&new.name).await?;
        still_wanted.await?;
        if !admin.database_exists(&new.name).await? {
            self.clone_template(admin, &roles, &new.name, set, run).await?;
        }
        failpoint::pass("create_database:cloned");
        self.open_for_tenant(admin, &roles, new).await
    }

    /// A database that nobody may connect to yet.
    async fn clone_template(
        &self,
        admin: &mut Admin,
        roles: &Roles,
        name: &Ident,
        set: &MigrationSet,
        run: &Run,
    ) -> Result<(), ServerError> {
        let template = self.ensure_template(admin, roles, set, run).await?;
        let strategy = if admin.can_choose_strategy() { " STRATEGY WAL_LOG" } else { "" };
        let (database, template, owner) = (name.quoted(), template.quoted(), roles.owner.quoted());
        let create =
            format!("CREATE DATABASE {database} TEMPLATE {template}{strategy} OWNER {owner} ALLOW_CONNECTIONS false");
        admin.execute("cloning the template", create).await
    }

    /// The tenant's role, and its door.
    async fn open_for_tenant(&self, admin: &mut Admin, roles: &Roles, new: &NewTenant) -> Result<(), ServerError> {
        credentials::ensure_login(admin, roles, new).await?;
        failpoint::pass("create_database:login");
        self.open_door(admin, &new.name, &new.role).await
    }

    /// Lets connections in, of this role alone.
    async fn open_door(&self, admin: &mut Admin, name: &Ident, role: &Ident) -> Result<(), ServerError> {
        let (database, role) = (name.quoted(), role.quoted());
        // One message, one transaction: the door opens for the tenant alone.
        let open = format!(
            "REVOKE ALL ON DATABASE {database} FROM PUBLIC; GRANT CONNECT ON DATABASE {database} TO {role}; \
             ALTER DATABASE {database} ALLOW_CONNECTIONS true"
        );
        admin.execute("opening the database", open).await
    }

    /// Opens a database as the role that owns its objects.
    pub(crate) async fn open(&self, name: &Ident) -> Result<DatabaseConnection, ServerError> {
        let mut options = ConnectOptions::new(&self.url);
        let (name, owner) = (name.as_str().to_owned(), self.roles()?.owner);
        options.map_sqlx_postgres_opts(move |options| options.database(&name).options([("role", owner.as_str())]));
        connect_one(options).await
    }

    pub(crate) async fn migrate_at_once(
        &self,
        name: &Ident,
        set: &MigrationSet,
        (from, to): (&str, &str),
        run: &Run,
    ) -> Result<Option<Applied>, ServerError> {
        let options = self.options.clone().database(name.as_str()).options([("role", self.roles()?.owner.as_str())]);
        let options = options.application_name(&run.session_name()).options(run.session_limits());
        // Whoever opens it in the ordinary way tells why it cannot be.
        let Ok(mut session) = connect(options).await else { return Ok(None) };
        let applied = migrate_at_once(&mut session, set, (from, Some(to)), run).await;
        // It has done its work; whether the server hears the farewell changes nothing.
        if let Err(error) = session.close().await {
            tracing::debug!(%error, "a connection was not closed in good order");
        }
        Ok(applied?)
    }
}

async fn connect(options: PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connecting = on_own_thread(async move {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options)).await;
        connected.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    });
    connecting.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

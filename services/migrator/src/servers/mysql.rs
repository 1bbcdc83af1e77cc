mod adoption;
mod credentials;
mod inventory;
mod scratch;

use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection};
use tenantry_migration::{MigrationError, MigrationSet, Run, migrate, status};
use tenantry_store::traced;
use tenantry_telemetry::database;
use tracing::Span;

use self::credentials::{ensure_login, grant_rows};
pub(crate) use self::scratch::MySqlScratch;
use super::collation::Collation;
use super::{CONNECT_TIMEOUT, Goal, NewTenant, ServerError, connect_one};
use crate::ident::Ident;

/// How long another maker of the same database is waited for, in seconds.
const LOCK_WAIT_SECONDS: i32 = 10;
/// The conventions' name of MySQL, which MariaDB is to the driver.
const SYSTEM: &str = "mysql";

/// A MySQL or MariaDB server.
pub(crate) struct MySqlServer {
    url: String,
    options: MySqlConnectOptions,
    collation: Collation,
}

impl MySqlServer {
    pub(crate) fn new(url: &str) -> Result<Self, ServerError> {
        let url = url.replacen("mariadb:", "mysql:", 1);
        let (url, collation) = Collation::taken_from(&url, Collation::of_mysql())?;
        let options: MySqlConnectOptions =
            url.parse().map_err(|error: sqlx::Error| ServerError::Config(error.to_string()))?;
        Ok(Self { url, options: options.disable_statement_logging(), collation })
    }

    pub(crate) async fn create(
        &self,
        new: &NewTenant,
        set: &MigrationSet,
        run: &Run,
        still_wanted: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let mut admin = self.connect().await?;
        let made = self.create_with(&mut admin, new, set, run, still_wanted).await;
        // Closing gives the lock back, whatever happened.
        admin.close().await.map_err(ServerError::refused("closing"))?;
        made
    }

    pub(crate) async fn drop_database(
        &self,
        name: &Ident,
        roles: &[&Ident],
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let mut admin = self.connect().await?;
        let dropped = drop_with(&mut admin, name, roles, confirmed).await;
        // Closing gives the lock back, whatever happened.
        admin.close().await.map_err(ServerError::refused("closing"))?;
        dropped
    }

    async fn create_with(
        &self,
        admin: &mut MySqlConnection,
        new: &NewTenant,
        set: &MigrationSet,
        run: &Run,
        still_wanted: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        lock(admin, &new.name).await?;
        still_wanted.await?;
        self.create_database(admin, &new.name).await?;
        // Each statement of a migration commits by itself, so one that was cut short cannot be run again. Before
        // there is a login nothing of value can be there, and the half-made database is made anew.
        if !user_exists(admin, &new.role).await? && self.is_half_made(&new.name, set).await? {
            let drop = format!("DROP DATABASE {}", new.name.backticked());
            execute(admin, "dropping a half-made database", drop).await?;
            self.create_database(admin, &new.name).await?;
        }
        self.fill(admin, new, Goal { set, version: None }, run).await
    }

    /// The schema, and the login that works with its rows.
    async fn fill(
        &self,
        admin: &mut MySqlConnection,
        new: &NewTenant,
        goal: Goal<'_>,
        run: &Run,
    ) -> Result<(), ServerError> {
        let db = self.open(&new.name).await?;
        let filled = fill_schema(&db, goal, run).await;
        db.close().await?;
        filled?;
        ensure_login(admin, new).await
    }

    /// Gives the tenant's users their rows in every table that a migration has made since.
    pub(crate) async fn grant_new_tables(&self, name: &Ident, roles: &[&Ident]) -> Result<(), ServerError> {
        let mut admin = self.connect().await?;
        let granted = async {
            for role in roles {
                grant_rows(&mut admin, name, role).await?;
            }
            Ok(())
        };
        let granted = granted.await;
        admin.close().await.map_err(ServerError::refused("closing"))?;
        granted
    }

    /// Step by step, as the fleet gets it; what an earlier rehearsal left is dropped first.
    pub(crate) async fn rehearse(&self, set: &MigrationSet, run: &Run, scratch: &Ident) -> Result<(), ServerError> {
        let mut admin = self.connect().await?;
        let rehearsed = self.rehearse_with(&mut admin, set, run, scratch).await;
        admin.close().await.map_err(ServerError::refused("closing"))?;
        rehearsed
    }

    async fn rehearse_with(
        &self,
        admin: &mut MySqlConnection,
        set: &MigrationSet,
        run: &Run,
        scratch: &Ident,
    ) -> Result<(), ServerError> {
        lock(admin, scratch).await?;
        let drop_scratch = format!("DROP DATABASE IF EXISTS {}", scratch.backticked());
        execute(admin, "dropping a scratch database", drop_scratch.clone()).await?;
        self.create_database(admin, scratch).await?;
        let db = self.open(scratch).await?;
        let migrated = migrate(&db, set, None, run).await;
        db.close().await?;
        execute(admin, "dropping a scratch database", drop_scratch).await?;
        Ok(migrated.map(drop)?)
    }

    async fn is_half_made(&self, name: &Ident, set: &MigrationSet) -> Result<bool, ServerError> {
        let db = self.open(name).await?;
        let status = status(&db, set).await;
        db.close().await?;
        Ok(!status?.pending.is_empty())
    }

    pub(crate) async fn open(&self, name: &Ident) -> Result<DatabaseConnection, ServerError> {
        let mut options = ConnectOptions::new(&self.url);
        let name = name.as_str().to_owned();
        options.map_sqlx_mysql_opts(move |options| options.database(&name));
        connect_one(options).await
    }

    async fn create_database(&self, admin: &mut MySqlConnection, name: &Ident) -> Result<(), ServerError> {
        let (database, Collation { charset, collation }) = (name.backticked(), &self.collation);
        let create = format!("CREATE DATABASE IF NOT EXISTS {database} CHARACTER SET {charset} COLLATE {collation}");
        execute(admin, "creating the database", create).await
    }

    async fn connect(&self) -> Result<MySqlConnection, ServerError> {
        let connecting = MySqlConnection::connect_with(&self.options);
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        connected
            .map_err(|elapsed| ServerError::Unavailable(elapsed.into()))?
            .map_err(ServerError::refused("connecting"))
    }
}

impl MySqlServer {
    /// Drops a tenant's users, and leaves the database.
    pub(crate) async fn drop_logins(
        &self,
        name: &Ident,
        roles: &[&Ident],
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let mut admin = self.connect().await?;
        let dropped = async {
            lock(&mut admin, name).await?;
            confirmed.await?;
            drop_users(&mut admin, roles).await
        };
        let dropped = dropped.await;
        admin.close().await.map_err(ServerError::refused("closing"))?;
        dropped
    }
}

async fn drop_with(
    admin: &mut MySqlConnection,
    name: &Ident,
    roles: &[&Ident],
    confirmed: impl Future<Output = Result<(), ServerError>> + Send,
) -> Result<(), ServerError> {
    lock(admin, name).await?;
    confirmed.await?;
    drop_with_users(admin, name, roles).await
}

async fn drop_users(admin: &mut MySqlConnection, users: &[&Ident]) -> Result<(), ServerError> {
    for user in users {
        execute(admin, "dropping the user", format!("DROP USER IF EXISTS '{}'@'%'", user.as_str())).await?;
    }
    Ok(())
}

async fn drop_with_users(admin: &mut MySqlConnection, name: &Ident, users: &[&Ident]) -> Result<(), ServerError> {
    // The users first: from here on nobody can come.
    drop_users(admin, users).await?;
    // A transaction that is under way holds its tables; the default is to wait for a day.
    execute(admin, "setting a timeout", format!("SET SESSION lock_wait_timeout = {LOCK_WAIT_SECONDS}")).await?;
    execute(admin, "dropping the database", format!("DROP DATABASE IF EXISTS {}", name.backticked())).await
}

/// An empty database gets the whole schema in one message; what is left of it, or new since, step by step.
async fn fill_schema(db: &DatabaseConnection, goal: Goal<'_>, run: &Run) -> Result<(), ServerError> {
    let Goal { set, version } = goal;
    if version.is_none() && status(db, set).await?.applied.is_empty() {
        match set.squash(db.get_database_backend(), run) {
            Ok(script) => db.execute_unprepared(&script).await.map(drop)?,
            Err(MigrationError::NotRecorded { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(migrate(db, set, version, run).await.map(drop)?)
}

async fn lock(admin: &mut MySqlConnection, name: &Ident) -> Result<(), ServerError> {
    if try_lock(admin, name, LOCK_WAIT_SECONDS).await? { Ok(()) } else { Err(ServerError::Busy) }
}

async fn try_lock(admin: &mut MySqlConnection, name: &Ident, seconds: i32) -> Result<bool, ServerError> {
    let query = "SELECT GET_LOCK(?, ?)";
    let locking = sqlx::query_scalar(query).bind(lock_name(name)).bind(seconds).fetch_one(admin);
    let got: Option<i64> = traced(span(query), locking).await.map_err(ServerError::refused("locking"))?;
    Ok(got == Some(1))
}

fn lock_name(name: &Ident) -> String {
    format!("tenantry:create:{}", name.as_str())
}

async fn user_exists(admin: &mut MySqlConnection, name: &Ident) -> Result<bool, ServerError> {
    let query = "SELECT count(*) FROM mysql.user WHERE user = ?";
    let looking = sqlx::query_scalar(query).bind(name.as_str()).fetch_one(admin);
    let found: i64 = traced(span(query), looking).await.map_err(ServerError::refused("looking for the user"))?;
    Ok(found > 0)
}

async fn execute(admin: &mut MySqlConnection, doing: &'static str, sql: String) -> Result<(), ServerError> {
    // Passwords are in some.
    let span = database::statement(SYSTEM, None, &sql, false);
    let executing = sqlx::raw_sql(AssertSqlSafe(sql)).execute(admin);
    traced(span, executing).await.map(drop).map_err(ServerError::refused(doing))
}

/// Of a query with its values apart.
fn span(query: &str) -> Span {
    database::statement(SYSTEM, None, query, true)
}

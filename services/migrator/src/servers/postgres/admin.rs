use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use tenantry_store::traced;
use tenantry_telemetry::database;
use tracing::Span;

use super::super::ServerError;
use super::super::inventory::{FoundDatabase, FoundRole};
use super::connect;
use crate::ident::{Ident, Prefix};

/// The conventions' name of PostgreSQL.
const SYSTEM: &str = "postgresql";
/// How long another maker of the same thing is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How often the lock is tried meanwhile.
const LOCK_POLL: Duration = Duration::from_millis(20);
/// `CREATE DATABASE … STRATEGY` came with this version.
const WITH_STRATEGY: u32 = 150_000;

/// A session with the maintenance database. What creates and drops databases is
/// locked here, since advisory locks are per database.
pub(super) struct Admin {
    connection: PgConnection,
    version: u32,
}

impl Admin {
    pub(super) async fn connect(options: &PgConnectOptions) -> Result<Self, ServerError> {
        let connection = connect(options.clone()).await.map_err(ServerError::refused("connecting"))?;
        let version = connection.server_version_num().unwrap_or_default();
        Ok(Self { connection, version })
    }

    pub(super) fn can_choose_strategy(&self) -> bool {
        self.version >= WITH_STRATEGY
    }

    /// Waits for the lock on a name, held until the session ends. Polled: a
    /// session that waits inside the server would block `CREATE DATABASE`.
    pub(super) async fn lock(&mut self, name: &Ident) -> Result<(), ServerError> {
        let until = tokio::time::Instant::now() + LOCK_WAIT;
        loop {
            if self.try_lock(name).await? {
                return Ok(());
            }
            if tokio::time::Instant::now() >= until {
                return Err(ServerError::Busy);
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
    }

    pub(super) async fn try_lock(&mut self, name: &Ident) -> Result<bool, ServerError> {
        let query = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))";
        let locking = sqlx::query_scalar(query).bind(lock_name(name)).fetch_one(&mut self.connection);
        traced(span(query), locking).await.map_err(ServerError::refused("locking"))
    }

    pub(super) async fn unlock(&mut self, name: &Ident) -> Result<(), ServerError> {
        let query = "SELECT pg_advisory_unlock(hashtextextended($1, 0))";
        let unlocking = sqlx::query(query).bind(lock_name(name)).execute(&mut self.connection);
        traced(span(query), unlocking).await.map(drop).map_err(ServerError::refused("unlocking"))
    }

    pub(super) async fn database_exists(&mut self, name: &Ident) -> Result<bool, ServerError> {
        self.exists("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).await
    }

    /// Whether it is a template that was finished: it is marked so at the very end.
    pub(super) async fn template_exists(&mut self, name: &Ident) -> Result<bool, ServerError> {
        self.exists("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)", name).await
    }

    pub(super) async fn role_exists(&mut self, name: &Ident) -> Result<bool, ServerError> {
        self.exists("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name).await
    }

    /// Whether this session may do what the role may.
    pub(super) async fn has_role(&mut self, name: &Ident) -> Result<bool, ServerError> {
        self.exists("SELECT pg_has_role(CURRENT_USER, $1::text, 'USAGE')", name).await
    }

    async fn exists(&mut self, query: &'static str, name: &Ident) -> Result<bool, ServerError> {
        let looking = sqlx::query_scalar(query).bind(name.as_str()).fetch_one(&mut self.connection);
        traced(span(query), looking).await.map_err(ServerError::refused("looking into its catalogue"))
    }

    /// Databases and roles whose names begin so.
    pub(super) async fn named(&mut self, family: &Ident) -> Result<Vec<String>, ServerError> {
        let query = "SELECT datname::text FROM pg_database WHERE starts_with(datname::text, $1) \
                     UNION SELECT rolname::text FROM pg_roles WHERE starts_with(rolname::text, $1)";
        let looking = sqlx::query_scalar(query).bind(family.as_str()).fetch_all(&mut self.connection);
        traced(span(query), looking).await.map_err(ServerError::refused("looking into its catalogue"))
    }

    /// Every database.
    pub(super) async fn databases(&mut self) -> Result<Vec<(String, FoundDatabase)>, ServerError> {
        let query = "SELECT datname::text, datistemplate FROM pg_database";
        let listing = sqlx::query_as(query).fetch_all(&mut self.connection);
        let found: Vec<(String, bool)> =
            traced(span(query), listing).await.map_err(ServerError::refused("listing the databases"))?;
        Ok(found.into_iter().map(|(name, is_template)| (name, FoundDatabase { is_template })).collect())
    }

    /// The login roles whose names begin so, with what they may do.
    pub(super) async fn tenant_roles(
        &mut self,
        prefix: &Prefix,
        group: &Ident,
    ) -> Result<BTreeMap<String, FoundRole>, ServerError> {
        let refused = ServerError::refused;
        let query = "SELECT r.rolname::text, r.rolcanlogin, EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles g \
                     ON g.oid = m.roleid WHERE m.member = r.oid AND g.rolname = $2) \
                     FROM pg_roles r WHERE starts_with(r.rolname::text, $1)";
        let listing = sqlx::query_as(query).bind(prefix.as_str()).bind(group.as_str()).fetch_all(&mut self.connection);
        let roles: Vec<(String, bool, bool)> =
            traced(span(query), listing).await.map_err(refused("listing the roles"))?;
        let found = |(name, may_log_in, has_rights)| (name, FoundRole { may_log_in, has_rights, ..Default::default() });
        let mut roles: BTreeMap<_, _> = roles.into_iter().map(found).collect();
        let query = "SELECT r.rolname::text, d.datname::text FROM pg_database d CROSS JOIN LATERAL \
                     aclexplode(d.datacl) a JOIN pg_roles r ON r.oid = a.grantee \
                     WHERE a.privilege_type = 'CONNECT' AND starts_with(r.rolname::text, $1)";
        let listing = sqlx::query_as(query).bind(prefix.as_str()).fetch_all(&mut self.connection);
        let doors: Vec<(String, String)> =
            traced(span(query), listing).await.map_err(refused("listing what roles may connect to"))?;
        for (role, database) in doors {
            if let Some(found) = roles.get_mut(&role) {
                found.reaches.insert(database);
            }
        }
        Ok(roles)
    }

    /// Whether a session has the lock on a name. Only reads: trying it would keep somebody out for a moment.
    pub(super) async fn is_locked(&mut self, name: &Ident) -> Result<bool, ServerError> {
        let query = "SELECT EXISTS (SELECT FROM pg_locks l, hashtextextended($1, 0) AS k (key) \
                     WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted \
                     AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                     AND l.classid::bigint = (k.key >> 32) & 4294967295 AND l.objid::bigint = k.key & 4294967295)";
        let looking = sqlx::query_scalar(query).bind(lock_name(name)).fetch_one(&mut self.connection);
        traced(span(query), looking).await.map_err(ServerError::refused("looking for a lock"))
    }

    /// Ends the sessions of these login roles in the database.
    pub(super) async fn end_sessions(&mut self, name: &Ident, roles: &[&Ident]) -> Result<(), ServerError> {
        let roles: Vec<_> = roles.iter().map(|role| role.as_str().to_owned()).collect();
        let query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = ANY ($2)";
        let ending = sqlx::query(query).bind(name.as_str()).bind(roles).execute(&mut self.connection);
        traced(span(query), ending).await.map(drop).map_err(ServerError::refused("ending sessions"))
    }

    pub(super) async fn execute(&mut self, doing: &'static str, sql: String) -> Result<(), ServerError> {
        // Passwords are in some.
        let span = database::statement(SYSTEM, None, &sql, false);
        let executing = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection);
        traced(span, executing).await.map(drop).map_err(ServerError::refused(doing))
    }

    pub(super) async fn close(self) -> Result<(), ServerError> {
        self.connection.close().await.map_err(ServerError::refused("closing"))
    }
}

/// Of a query with its values apart.
fn span(query: &str) -> Span {
    database::statement(SYSTEM, None, query, true)
}

fn lock_name(name: &Ident) -> String {
    format!("tenantry:{}", name.as_str())
}

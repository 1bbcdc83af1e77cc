use std::collections::BTreeSet;

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection};
use tenantry_store::traced;

use super::credentials::{grant_rows, is_mariadb, pattern};
use super::{MySqlServer, ServerError, drop_with_users, execute, lock, lock_name, span, try_lock};
use crate::ident::{Ident, Prefix};
use crate::servers::inventory::{FoundDatabase, FoundRole, Inventory};

impl MySqlServer {
    pub(crate) async fn inventory(&self, prefix: &Prefix) -> Result<Inventory, ServerError> {
        let mut admin = self.connect().await?;
        let found = list(&mut admin, prefix).await;
        admin.close().await.map_err(ServerError::refused("closing"))?;
        found
    }

    pub(crate) async fn unheld(&self, names: &[Ident]) -> Result<BTreeSet<String>, ServerError> {
        let mut admin = self.connect().await?;
        let mut free = BTreeSet::new();
        for name in names {
            let query = "SELECT IS_FREE_LOCK(?)";
            let looking = sqlx::query_scalar(query).bind(lock_name(name)).fetch_one(&mut admin);
            let answer: Option<i64> =
                traced(span(query), looking).await.map_err(ServerError::refused("looking for a lock"))?;
            if answer == Some(1) {
                free.insert(name.as_str().to_owned());
            }
        }
        admin.close().await.map_err(ServerError::refused("closing"))?;
        Ok(free)
    }

    pub(crate) async fn drop_leftover(&self, name: &Ident) -> Result<bool, ServerError> {
        let mut admin = self.connect().await?;
        let dropped = async {
            if !try_lock(&mut admin, name, 0).await? {
                return Ok(false);
            }
            drop_with_users(&mut admin, name, &[name]).await.map(|()| true)
        };
        let dropped = dropped.await;
        // Closing gives the lock back, whatever happened.
        admin.close().await.map_err(ServerError::refused("closing"))?;
        dropped
    }

    pub(crate) async fn restore_login(
        &self,
        name: &Ident,
        role: &Ident,
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let mut admin = self.connect().await?;
        let restored = async {
            lock(&mut admin, name).await?;
            confirmed.await?;
            let user = format!("'{}'@'%'", role.as_str());
            let grant = format!("GRANT SELECT ON `{}`.* TO {user}", pattern(name));
            execute(&mut admin, "restoring the user's rights", grant).await?;
            grant_rows(&mut admin, name, role).await?;
            execute(&mut admin, "restoring the user", format!("ALTER USER {user} ACCOUNT UNLOCK")).await
        };
        let restored = restored.await;
        admin.close().await.map_err(ServerError::refused("closing"))?;
        restored
    }
}

async fn list(admin: &mut MySqlConnection, prefix: &Prefix) -> Result<Inventory, ServerError> {
    let refused = ServerError::refused;
    let query = "SELECT CONVERT(schema_name USING utf8mb4) FROM information_schema.schemata";
    let listing = sqlx::query_scalar(query).fetch_all(&mut *admin);
    let databases: Vec<String> = traced(span(query), listing).await.map_err(refused("listing the databases"))?;
    // The two keep it in tables of their own.
    let locked = match is_mariadb(admin).await? {
        true => {
            "SELECT CONVERT(user USING utf8mb4), COALESCE(JSON_VALUE(priv, '$.account_locked'), '') IN ('true', '1') FROM mysql.global_priv"
        }
        false => "SELECT CONVERT(user USING utf8mb4), account_locked = 'Y' FROM mysql.user",
    };
    let query = format!("{locked} WHERE host = '%' AND LEFT(user, CHAR_LENGTH(?)) = ?");
    let within = span(&query);
    let listing = sqlx::query_as(AssertSqlSafe(query)).bind(prefix.as_str()).bind(prefix.as_str());
    let users: Vec<(String, i64)> =
        traced(within, listing.fetch_all(&mut *admin)).await.map_err(refused("listing the users"))?;
    let query = "SELECT CONVERT(grantee USING utf8mb4), CONVERT(table_schema USING utf8mb4) \
                 FROM information_schema.schema_privileges \
                 WHERE privilege_type = 'SELECT' AND LEFT(grantee, CHAR_LENGTH(?) + 1) = CONCAT('''', ?)";
    let listing = sqlx::query_as(query).bind(prefix.as_str()).bind(prefix.as_str()).fetch_all(admin);
    let reach: Vec<(String, String)> =
        traced(span(query), listing).await.map_err(refused("listing what users may read"))?;

    let found = |(name, locked)| {
        // Every right is on the database here.
        (name, FoundRole { may_log_in: locked == 0, has_rights: true, reaches: BTreeSet::new() })
    };
    let mut inventory = Inventory {
        is_nowhere: false,
        databases: databases.into_iter().map(|name| (name, FoundDatabase::default())).collect(),
        roles: users.into_iter().map(found).collect(),
    };
    for (grantee, schema) in reach {
        let user = grantee.strip_prefix('\'').and_then(|rest| rest.strip_suffix("'@'%'"));
        if let Some(role) = user.and_then(|user| inventory.roles.get_mut(user)) {
            role.reaches.insert(schema.replace("\\_", "_"));
        }
    }
    Ok(inventory)
}

//! The users of a tenant's database, which take turns.

use sqlx::mysql::MySqlConnection;
use sqlx::{Connection, Row};
use tenantry_migration::{LEDGER, PROGRESS};
use tenantry_store::traced;

use super::{MySqlServer, execute, lock, span, user_exists};
use crate::ident::Ident;
use crate::servers::{NewTenant, ServerError};

impl MySqlServer {
    pub(crate) async fn set_credential(
        &self,
        tenant: &NewTenant,
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let mut admin = self.connect().await?;
        let set = async {
            lock(&mut admin, &tenant.name).await?;
            confirmed.await?;
            ensure_login(&mut admin, tenant).await
        };
        let set = set.await;
        // Closing gives the lock back, whatever happened.
        admin.close().await.map_err(ServerError::refused("closing"))?;
        set
    }

    /// The rights go too: a session that is still open can write nothing from here on, and a user at rest has nothing
    /// that a comparison of catalogues would find.
    pub(crate) async fn lock_credential(
        &self,
        name: &Ident,
        role: &Ident,
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let mut admin = self.connect().await?;
        let locked = async {
            lock(&mut admin, name).await?;
            confirmed.await?;
            if !user_exists(&mut admin, role).await? {
                return Ok(());
            }
            let user = format!("'{}'@'%'", role.as_str());
            execute(&mut admin, "locking the user", format!("ALTER USER {user} ACCOUNT LOCK")).await?;
            let revoke = format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {user}");
            execute(&mut admin, "taking the user's rights", revoke).await
        };
        let locked = locked.await;
        admin.close().await.map_err(ServerError::refused("closing"))?;
        locked
    }
}

/// The user with its password and its rows, whatever it was before.
pub(super) async fn ensure_login(admin: &mut MySqlConnection, tenant: &NewTenant) -> Result<(), ServerError> {
    for statement in user_statements(is_mariadb(admin).await?, tenant) {
        execute(admin, "creating the user", statement).await?;
    }
    grant_rows(admin, &tenant.name, &tenant.role).await
}

pub(super) async fn is_mariadb(admin: &mut MySqlConnection) -> Result<bool, ServerError> {
    let query = "SELECT VERSION()";
    let reading = sqlx::query(query).fetch_one(admin);
    let row = traced(span(query), reading).await.map_err(ServerError::refused("reading its version"))?;
    let version: String = row.try_get(0).map_err(ServerError::refused("reading its version"))?;
    Ok(version.contains("MariaDB"))
}

/// Lets the tenant's user write into every table but the migrator's own, where it
/// may not yet: a user that may read there. Table by table: there is no grant on
/// all tables but one.
pub(super) async fn grant_rows(admin: &mut MySqlConnection, name: &Ident, user: &Ident) -> Result<(), ServerError> {
    let query = "SELECT CONVERT(t.table_name USING utf8mb4) FROM information_schema.tables t \
                 WHERE t.table_schema = ? AND t.table_type = 'BASE TABLE' AND t.table_name NOT IN (?, ?) \
                 AND NOT EXISTS (SELECT 1 FROM information_schema.table_privileges p WHERE p.grantee = ? \
                 AND p.table_schema = t.table_schema AND p.table_name = t.table_name AND p.privilege_type = 'INSERT') \
                 AND EXISTS (SELECT 1 FROM information_schema.schema_privileges s WHERE s.grantee = ? \
                 AND s.table_schema = ? AND s.privilege_type = 'SELECT')";
    let grantee = format!("'{}'@'%'", user.as_str());
    let listing = sqlx::query_scalar(query)
        .bind(name.as_str())
        .bind(LEDGER)
        .bind(PROGRESS)
        .bind(&grantee)
        .bind(&grantee)
        .bind(pattern(name))
        .fetch_all(&mut *admin);
    let tables: Vec<String> = traced(span(query), listing).await.map_err(ServerError::refused("listing the tables"))?;
    for table in tables {
        let table = Ident::new(table)?.backticked();
        let grant = format!("GRANT INSERT, UPDATE, DELETE ON {}.{table} TO '{}'@'%'", name.backticked(), user.as_str());
        execute(admin, "granting rows", grant).await?;
    }
    Ok(())
}

/// A login of the database, which may read there, and nothing anywhere else.
fn user_statements(mariadb: bool, new: &NewTenant) -> [String; 4] {
    let user = format!("'{}'@'%'", new.role.as_str());
    let hash = &new.verifier.mysql_native;
    let identified = if mariadb {
        format!("IDENTIFIED VIA mysql_native_password USING '{hash}'")
    } else {
        format!("IDENTIFIED WITH mysql_native_password AS '{hash}'")
    };
    [
        format!("CREATE USER IF NOT EXISTS {user} {identified}"),
        format!("ALTER USER {user} {identified}"),
        format!("ALTER USER {user} ACCOUNT UNLOCK"),
        format!("GRANT SELECT ON `{}`.* TO {user}", pattern(&new.name)),
    ]
}

/// In a grant's database name '_' stands for any character, unless escaped.
pub(super) fn pattern(name: &Ident) -> String {
    name.as_str().replace('_', "\\_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::Verifier;

    #[test]
    fn a_grant_covers_one_database_and_not_those_that_look_alike() {
        let name = Ident::new("tnt_1").expect("a name");
        let verifier = Verifier { mysql_native: "*AB".into(), ..Default::default() };
        let role = Ident::new("tnt_2").expect("a name");
        let [create, alter, unlock, grant] = user_statements(true, &NewTenant { name, role, verifier });
        assert_eq!(create, "CREATE USER IF NOT EXISTS 'tnt_2'@'%' IDENTIFIED VIA mysql_native_password USING '*AB'");
        assert_eq!(alter, "ALTER USER 'tnt_2'@'%' IDENTIFIED VIA mysql_native_password USING '*AB'");
        assert_eq!(unlock, "ALTER USER 'tnt_2'@'%' ACCOUNT UNLOCK");
        assert_eq!(grant, "GRANT SELECT ON `tnt\\_1`.* TO 'tnt_2'@'%'");
    }
}

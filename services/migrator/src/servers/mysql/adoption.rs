//! A database that somebody else has made becomes a tenant's. Tables have no owner here: what it gets is its ledger and
//! its user. Users that others have made keep what they were given.

use sqlx::Connection;
use sqlx::mysql::MySqlConnection;
use tenantry_migration::migrate;
use tenantry_store::traced;

use super::{MySqlServer, ensure_login, lock, span};
use crate::ident::Ident;
use crate::servers::adoption::{Adoption, note_baseline, survey};
use crate::servers::{NewTenant, ServerError};

/// The server's own.
const SYSTEM: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];

impl MySqlServer {
    /// Whether it could be adopted. Only reads.
    pub(crate) async fn check_adoption(&self, name: &Ident, adoption: Adoption<'_>) -> Result<(), ServerError> {
        let mut admin = self.connect().await?;
        let adoptable = expect_adoptable(&mut admin, name).await;
        admin.close().await.map_err(ServerError::refused("closing"))?;
        adoptable?;
        let db = self.open(name).await?;
        let surveyed = survey(&db, adoption).await;
        db.close().await?;
        surveyed
    }

    /// `still_wanted` is asked under the lock that dropping takes too.
    pub(crate) async fn adopt(
        &self,
        tenant: &NewTenant,
        adoption: Adoption<'_>,
        still_wanted: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        let mut admin = self.connect().await?;
        let adopted = async {
            lock(&mut admin, &tenant.name).await?;
            still_wanted.await?;
            expect_adoptable(&mut admin, &tenant.name).await?;
            self.note_and_migrate(&tenant.name, adoption).await?;
            ensure_login(&mut admin, tenant).await
        };
        let adopted = adopted.await;
        // Closing gives the lock back, whatever happened.
        admin.close().await.map_err(ServerError::refused("closing"))?;
        adopted
    }

    async fn note_and_migrate(&self, name: &Ident, adoption: Adoption<'_>) -> Result<(), ServerError> {
        let db = self.open(name).await?;
        let done = async {
            survey(&db, adoption).await?;
            note_baseline(&db, adoption).await?;
            Ok(migrate(&db, adoption.set, None, adoption.run).await.map(drop)?)
        };
        let done = done.await;
        db.close().await?;
        done
    }
}

async fn expect_adoptable(admin: &mut MySqlConnection, name: &Ident) -> Result<(), ServerError> {
    if SYSTEM.contains(&name.as_str()) {
        return Err(ServerError::NotAdoptable(format!("{:?} is the server's own", name.as_str())));
    }
    let query = "SELECT count(*) FROM information_schema.schemata WHERE schema_name = ?";
    let looking = sqlx::query_scalar(query).bind(name.as_str()).fetch_one(&mut *admin);
    let found: i64 = traced(span(query), looking).await.map_err(ServerError::refused("looking for the database"))?;
    if found == 0 {
        return Err(ServerError::NotAdoptable(format!("the server has no database {:?}", name.as_str())));
    }
    let query = "SELECT CONVERT(table_name USING utf8mb4) FROM information_schema.tables WHERE table_schema = ?";
    let listing = sqlx::query_scalar(query).bind(name.as_str()).fetch_all(admin);
    let tables: Vec<String> = traced(span(query), listing).await.map_err(ServerError::refused("listing the tables"))?;
    match tables.iter().find(|table| Ident::new(table.as_str()).is_err()) {
        Some(odd) => {
            let message = format!("rights are given table by table, and {odd:?} is no name of a table here; rename it");
            Err(ServerError::NotAdoptable(message))
        }
        None => Ok(()),
    }
}

//! What a database consists of, as objects that can be compared with another database's.
//!
//! Names and definitions are written so that two databases of one kind are equal: the database's own name and its
//! tenant's role stand as [`DATABASE`] and [`TENANT`], an absent list of grants as the one that it stands for, and text
//! that people may format as they like (SQLite) in one format. Rows are not looked at, the ledger's neither.
//!
//! Deliberately absent: comments, sizes, physical column numbers, what belongs to a whole server, and what no
//! migration of ours makes and no query meets by accident (casts, operators, collations, publications).

mod compare;
mod mysql;
mod object;
mod postgres;
mod sqlite;
mod sqlite_text;

use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, Statement, TransactionTrait, Value,
};

pub use compare::{Difference, Finding, compare};
pub use object::{CatalogueObject, ObjectKind};

use crate::{engine::Engine, error::MigrationError, progress::PROGRESS};

/// Stands for the database's own name.
pub const DATABASE: &str = "<database>";
/// Stands for the role of the database's tenant.
pub const TENANT: &str = "<tenant>";

/// What two databases that are meant to be equal do not share.
#[derive(Clone, Copy, Debug, Default)]
pub struct CatalogueOptions<'a> {
    /// The login role of the tenant; absent where the engine or the database has none.
    pub tenant_role: Option<&'a str>,
    /// The login role that takes turns with it. What it may do as well is listed once; a right of its own is listed
    /// under its own name.
    pub other_role: Option<&'a str>,
}

/// Reads the catalogue, sorted by kind and name. Changes nothing, and waits for nothing but a statement that holds a
/// table exclusively.
///
/// On PostgreSQL it is one snapshot; elsewhere DDL that runs meanwhile may be seen in halves.
///
/// # Errors
/// [`MigrationError::Database`].
pub async fn catalogue(
    db: &DatabaseConnection,
    options: CatalogueOptions<'_>,
) -> Result<Vec<CatalogueObject>, MigrationError> {
    let read = async {
        // Dropped on every early return, which rolls it back.
        let tx = match Engine::of(db.get_database_backend()) {
            Engine::Postgres => db.begin().await?,
            Engine::MariaDb => db.begin_with_config(None, Some(AccessMode::ReadOnly)).await?,
            Engine::Sqlite => db.begin().await?,
        };
        let reader = Reader { tx: &tx, role: options.tenant_role };
        let objects = match Engine::of(db.get_database_backend()) {
            Engine::Postgres => postgres::read(&reader).await?,
            Engine::MariaDb => mysql::read(&reader).await?,
            Engine::Sqlite => sqlite::read(&reader).await?,
        };
        tx.rollback().await?;
        Ok(objects)
    };
    let mut objects: Vec<CatalogueObject> = read.await.map_err(MigrationError::database("reading the catalogue"))?;
    objects.retain(|object| !is_bookkeeping(object));
    if let Some(other) = options.other_role {
        leave_out_doubles(&mut objects, other);
    }
    objects.sort();
    Ok(objects)
}

/// The table of progress comes when it is needed first; whoever may write there is of interest all the same.
fn is_bookkeeping(object: &CatalogueObject) -> bool {
    let of_it = object.name == PROGRESS || object.parent.as_deref() == Some(PROGRESS);
    of_it && object.kind != ObjectKind::Grant
}

/// The rights of the other role that are those of the tenant's role.
fn leave_out_doubles(objects: &mut Vec<CatalogueObject>, other: &str) {
    let (other, tenant) = (format!(" to {other}"), format!(" to {TENANT}"));
    let of_tenant: Vec<_> = objects.iter().filter(|object| object.name.contains(&tenant)).cloned().collect();
    objects.retain(|object| {
        let renamed = CatalogueObject { name: object.name.replace(&other, &tenant), ..object.clone() };
        !object.name.contains(&other) || !of_tenant.contains(&renamed)
    });
}

/// One kind of object, and the query that lists it: `parent`, `name`, `definition`, and of columns `position`.
///
/// The tenant's role is the query's every parameter: `$1`, or each `?`.
struct Listing {
    kind: ObjectKind,
    sql: &'static str,
}

struct Reader<'a> {
    tx: &'a DatabaseTransaction,
    role: Option<&'a str>,
}

impl Reader<'_> {
    async fn list(&self, listings: &[Listing]) -> Result<Vec<CatalogueObject>, DbErr> {
        let mut objects = Vec::new();
        for Listing { kind, sql } in listings {
            let backend = self.tx.get_database_backend();
            let parameters = if sql.contains("$1") { 1 } else { sql.matches('?').count() };
            // A name that no role has.
            let role = Value::from(self.role.unwrap_or(" "));
            let statement = Statement::from_sql_and_values(backend, *sql, vec![role; parameters]);
            for row in self.tx.query_all_raw(statement).await? {
                let position = match kind {
                    ObjectKind::Column => row.try_get("", "position")?,
                    _ => 0,
                };
                objects.push(CatalogueObject {
                    kind: *kind,
                    name: row.try_get("", "name")?,
                    definition: row.try_get::<Option<String>>("", "definition")?.unwrap_or_default(),
                    parent: row.try_get("", "parent")?,
                    position,
                });
            }
        }
        Ok(objects)
    }
}

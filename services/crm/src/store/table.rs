//! What is the same for every table of things: an id, a revision, two times.

use sea_orm::entity::prelude::*;
use sea_orm::{Condition, Iterable, QueryOrder, QuerySelect};
use tenantry_tenancy::TenantConnection;
use uuid::Uuid;

use crate::domain::{Content, Stored};

/// A table of things. [`table!`] does the mechanical half.
pub(crate) trait Table: EntityTrait<ActiveModel: Send> {
    type Content: Content;

    /// The columns of the content.
    fn columns(content: &Self::Content) -> Self::ActiveModel;
    fn read(row: Self::Model) -> Stored<Self::Content>;

    fn id() -> Self::Column;
    fn revision() -> Self::Column;
    /// A row with the columns that every table has.
    fn stamped(row: Self::ActiveModel, stored: &Stored<Self::Content>) -> Self::ActiveModel;
}

/// The half of a [`Table`] that is the same for all: `$row` is the module of its entity.
macro_rules! table {
    ($row:ident, $content:ty, columns: $columns:expr, read: $read:expr) => {
        impl $crate::store::table::Table for $row::Entity {
            type Content = $content;

            fn columns(content: &$content) -> $row::ActiveModel {
                $columns(content)
            }

            fn read(row: $row::Model) -> $crate::domain::Stored<$content> {
                let (id, revision, created_at, updated_at) = (row.id, row.revision, row.created_at, row.updated_at);
                $crate::domain::Stored { id, content: $read(row), revision, created_at, updated_at }
            }

            fn id() -> $row::Column {
                $row::Column::Id
            }

            fn revision() -> $row::Column {
                $row::Column::Revision
            }

            fn stamped(mut row: $row::ActiveModel, stored: &$crate::domain::Stored<$content>) -> $row::ActiveModel {
                row.id = sea_orm::ActiveValue::Set(stored.id);
                row.revision = sea_orm::ActiveValue::Set(stored.revision);
                row.created_at = sea_orm::ActiveValue::Set(stored.created_at);
                row.updated_at = sea_orm::ActiveValue::Set(stored.updated_at);
                row
            }
        }
    };
}

pub(crate) use table;

/// What is in a table.
pub(crate) type Of<T> = Stored<<T as Table>::Content>;

pub(crate) async fn insert<T: Table>(db: &impl TenantConnection, stored: &Of<T>) -> Result<(), DbErr> {
    let row = T::stamped(T::columns(&stored.content), stored);
    T::insert(row).exec_without_returning(db).await.map(drop)
}

/// The same of many.
pub(crate) async fn insert_all<T: Table>(db: &impl TenantConnection, stored: &[Of<T>]) -> Result<(), DbErr> {
    let rows = stored.iter().map(|stored| T::stamped(T::columns(&stored.content), stored)).collect();
    insert_many::<T>(db, rows).await
}

/// How many values a statement takes at most: fewer than any engine lets in (SQLite 32,766), and not so many that a
/// statement is the longest part of a batch.
const MOST_VALUES: usize = 15_000;

/// Inserts rows with as few statements as the engines let in.
pub(crate) async fn insert_many<E: EntityTrait<ActiveModel: Send>>(
    db: &impl TenantConnection,
    rows: Vec<E::ActiveModel>,
) -> Result<(), DbErr> {
    let most = MOST_VALUES / E::Column::iter().count().max(1);
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let part: Vec<_> = rows.by_ref().take(most).collect();
        E::insert_many(part).exec_without_returning(db).await?;
    }
    Ok(())
}

pub(crate) async fn find<T: Table>(db: &impl TenantConnection, id: impl Into<Uuid>) -> Result<Option<Of<T>>, DbErr> {
    Ok(T::find().filter(T::id().eq(id.into())).one(db).await?.map(T::read))
}

/// The same, and nobody else changes it before this transaction ends. What is read is what was committed last, also
/// where the transaction has read before (MariaDB's snapshot).
pub(crate) async fn lock<T: Table>(db: &impl TenantConnection, id: impl Into<Uuid>) -> Result<Option<Of<T>>, DbErr> {
    Ok(T::find().filter(T::id().eq(id.into())).lock_exclusive().one(db).await?.map(T::read))
}

/// At most `limit` after this id, oldest entry first.
pub(crate) async fn page<T: Table>(
    db: &impl TenantConnection,
    filter: Condition,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Of<T>>, DbErr> {
    let mut query = T::find().filter(filter).order_by_asc(T::id()).limit(limit);
    if let Some(after) = after {
        query = query.filter(T::id().gt(after));
    }
    Ok(query.all(db).await?.into_iter().map(T::read).collect())
}

/// Whether there is any.
pub(crate) async fn any<T: EntityTrait>(db: &impl TenantConnection, filter: Condition) -> Result<bool, DbErr> {
    let found: Option<i32> =
        T::find().select_only().expr(Expr::val(1)).filter(filter).limit(1).into_tuple().one(db).await?;
    Ok(found.is_some())
}

/// Writes the new state of what has a revision one less; false when somebody else was faster.
pub(crate) async fn update<T: Table>(db: &impl TenantConnection, stored: &Of<T>) -> Result<bool, DbErr> {
    let row = T::stamped(T::columns(&stored.content), stored);
    let updated = T::update_many()
        .set(row)
        .filter(T::id().eq(stored.uuid()))
        .filter(T::revision().eq(stored.revision - 1))
        .exec(db)
        .await?;
    Ok(updated.rows_affected == 1)
}

/// Removes what has this revision; false when somebody else was faster.
pub(crate) async fn delete<T: Table>(db: &impl TenantConnection, stored: &Of<T>) -> Result<bool, DbErr> {
    let deleted =
        T::delete_many().filter(T::id().eq(stored.uuid())).filter(T::revision().eq(stored.revision)).exec(db).await?;
    Ok(deleted.rows_affected == 1)
}

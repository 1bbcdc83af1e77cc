//! Everything that a company's database has for the crm, as rows that say what they are: what an export of the company
//! reads.
//!
//! [`TABLES`] is the one list. A test compares it with the tables and columns of a migrated database, so who adds one
//! adds it there as well, or says in [`LEFT_OUT`] or [`Table::left_out`] why an export does without.

mod column;
mod plugins;
mod tables;

use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement};
use sea_orm::{DbErr, Order, QueryResult, Value};
use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use tenantry_tenancy::TenantConnection;

use super::order::Sorting;

pub use column::Column;
pub use tables::{LEFT_OUT, TABLES};

/// A table, or those rows of it that are of some kinds, and what of it an export has.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What an export calls a row of it.
    pub kind: &'static str,
    /// The plugin whose table it is.
    pub plugin: Option<&'static str>,
    /// Only the rows that have one of these in the column `kind`; empty: all. For tables with rows that refer to others
    /// of the same table.
    pub only: &'static [&'static str],
    /// The columns of its primary key, in which the rows are ordered.
    pub key: &'static [&'static str],
    /// What is exported, in the order in which it is written.
    pub columns: &'static [Column],
    /// Columns that are not, each with the reason.
    pub left_out: &'static [(&'static str, &'static str)],
}

/// The key of a row: the values of [`Table::key`].
pub(crate) type Key = Vec<Value>;

/// A row of a table, as an export has it.
#[derive(Debug)]
pub(crate) struct Row {
    fields: Vec<(&'static str, Json)>,
    pub(crate) key: Key,
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.fields.iter().map(|(field, value)| (field, value)))
    }
}

/// At most `limit` rows after this key, in the order of their keys.
pub(crate) async fn page(
    db: &impl TenantConnection,
    table: &'static Table,
    after: Option<&Key>,
    limit: u64,
) -> Result<Vec<Row>, DbErr> {
    let sorting = Sorting {
        columns: table.key.iter().map(|column| Expr::col((table.name, *column))).collect(),
        descending: false,
    };
    let mut query = table.select();
    for column in &sorting.columns {
        query.order_by_expr(column.clone(), Order::Asc);
    }
    if let Some(after) = after {
        query.cond_where(sorting.beyond(after.clone()));
    }
    let rows = db.query_all(query.limit(limit)).await?;
    rows.iter().map(|row| table.read(row)).collect()
}

impl Table {
    /// Every column of the database's that the list names, exported or not.
    pub fn named_columns(&self) -> impl Iterator<Item = String> {
        let exported = self.columns.iter().flat_map(|column| column.own());
        exported.chain(self.left_out.iter().map(|(column, _)| (*column).to_owned()))
    }

    fn select(&self) -> SelectStatement {
        let mut query = Query::select();
        query.from(self.name);
        for column in self.columns {
            column.select(self.name, &mut query);
        }
        if !self.only.is_empty() {
            query.and_where(Expr::col((self.name, "kind")).is_in(self.only.iter().copied()));
        }
        query
    }

    fn read(&self, row: &QueryResult) -> Result<Row, DbErr> {
        let fields: Result<_, DbErr> =
            self.columns.iter().map(|column| Ok((column.field, column.read(row)?))).collect();
        let of_key = self.key.iter().filter_map(|key| self.columns.iter().find(|column| column.column == *key));
        let key: Result<_, DbErr> = of_key.map(|column| column.key(row)).collect();
        Ok(Row { fields: fields?, key: key? })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sea_orm::ActiveEnum;

    use super::*;
    use crate::domain::{PlaceKind, TransactionKind};

    /// The kinds of a table that is read by kinds.
    fn read_of(table: &str) -> Vec<&'static str> {
        TABLES.iter().filter(|one| one.name == table).flat_map(|one| one.only).copied().collect()
    }

    #[test]
    fn no_kind_is_forgotten_or_read_twice() {
        let sorted = |mut kinds: Vec<String>| {
            kinds.sort_unstable();
            kinds
        };
        let owned = |kinds: Vec<&str>| kinds.into_iter().map(str::to_owned).collect();
        assert_eq!(sorted(PlaceKind::values()), sorted(owned(read_of("places"))));
        assert_eq!(sorted(TransactionKind::values()), sorted(owned(read_of("transactions"))));
        let others = TABLES.iter().filter(|table| table.only.is_empty()).map(|table| table.name);
        let once: BTreeSet<_> = others.clone().collect();
        assert_eq!((once.len(), once.contains("places")), (others.count(), false));
    }

    #[test]
    fn fields_and_columns_are_there_once_and_keys_are_exported() {
        for table in TABLES {
            let fields: BTreeSet<_> = table.columns.iter().map(|column| column.field).collect();
            assert_eq!(fields.len(), table.columns.len(), "{}", table.name);
            let columns: Vec<_> = table.named_columns().collect();
            assert_eq!(columns.iter().collect::<BTreeSet<_>>().len(), columns.len(), "{}", table.name);
            assert!(!table.key.is_empty(), "{}", table.name);
            for key in table.key {
                assert!(table.columns.iter().any(|column| column.column == *key), "{}.{key}", table.name);
            }
        }
    }
}

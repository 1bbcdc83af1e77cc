//! What the three engines do not agree on, so that a migration is written once.
//!
//! Column helpers are `NOT NULL` unless they end in `_null`; those of `sea_orm_migration::schema` are used beside
//! them. Names of constraints and indexes follow from their table and columns: PostgreSQL and SQLite want index
//! names unique per schema, MariaDB those of foreign keys and checks.
//!
//! Constraints belong into `CREATE TABLE`: SQLite cannot add one later.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// A table whose text compares by bytes everywhere. MariaDB's own default would take `a` for `A` in a unique key.
pub fn table(manager: &SchemaManager<'_>, name: &'static str) -> TableCreateStatement {
    let mut table = Table::create().table(name).to_owned();
    if manager.get_database_backend() == DbBackend::MySql {
        table.engine("InnoDB").character_set("utf8mb4").collate("utf8mb4_bin");
    }
    table
}

/// One column after the other: SQLite takes one at a time.
pub async fn add_columns(
    manager: &SchemaManager<'_>,
    table: &'static str,
    columns: impl IntoIterator<Item = ColumnDef>,
) -> Result<(), DbErr> {
    for column in columns {
        manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
    }
    Ok(())
}

/// One column after the other, as [`add_columns`].
pub async fn drop_columns<const N: usize>(
    manager: &SchemaManager<'_>,
    table: &'static str,
    columns: [&'static str; N],
) -> Result<(), DbErr> {
    for column in columns {
        manager.alter_table(Table::alter().table(table).drop_column(column).to_owned()).await?;
    }
    Ok(())
}

/// By the names that [`index`] and [`unique`] gave them.
pub async fn drop_indexes<const N: usize>(
    manager: &SchemaManager<'_>,
    table: &'static str,
    names: [&'static str; N],
) -> Result<(), DbErr> {
    for name in names {
        manager.drop_index(Index::drop().name(name).table(table).to_owned()).await?;
    }
    Ok(())
}

/// In the order given: the table that others point to comes last.
pub async fn drop_tables<const N: usize>(manager: &SchemaManager<'_>, tables: [&'static str; N]) -> Result<(), DbErr> {
    for table in tables {
        manager.drop_table(Table::drop().table(table).to_owned()).await?;
    }
    Ok(())
}

/// A UUID as primary key.
pub fn id(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).uuid().not_null().primary_key().to_owned()
}

/// A moment in UTC, to the microsecond. Not MariaDB's TIMESTAMP: that ends in 2038 and at the second.
pub fn timestamp(manager: &SchemaManager<'_>, name: &'static str) -> ColumnDef {
    timestamp_null(manager, name).not_null().to_owned()
}

/// As [`timestamp`], where there may be none.
pub fn timestamp_null(manager: &SchemaManager<'_>, name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    match manager.get_database_backend() {
        DbBackend::MySql => column.custom("datetime(6)"),
        _ => column.timestamp_with_time_zone(),
    };
    column
}

/// A moment that is 1970 where there was none: never NULL, so that it sorts alike everywhere.
pub fn timestamp_or_epoch(manager: &SchemaManager<'_>, name: &'static str) -> ColumnDef {
    let epoch = match manager.get_database_backend() {
        DbBackend::MySql => "'1970-01-01 00:00:00'",
        // As SQLite's driver writes it: there it is compared as text.
        _ => "'1970-01-01T00:00:00+00:00'",
    };
    timestamp(manager, name).default(Expr::cust(epoch)).to_owned()
}

/// Bytes; MariaDB's BLOB would end at 64 KiB.
pub fn bytes(manager: &SchemaManager<'_>, name: &'static str) -> ColumnDef {
    bytes_null(manager, name).not_null().to_owned()
}

/// As [`bytes`], where there may be none.
pub fn bytes_null(manager: &SchemaManager<'_>, name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    match manager.get_database_backend() {
        DbBackend::MySql => column.custom("mediumblob"),
        _ => column.blob(),
    };
    column
}

/// Text that can be indexed: MariaDB's keys end at 3,072 bytes, and a character may take four.
pub fn text_key(name: &'static str, characters: u32) -> ColumnDef {
    debug_assert!(characters <= 768, "{name} is too long for an index");
    ColumnDef::new(name).string_len(characters).not_null().to_owned()
}

/// Money is a `currency`, whole units and billionths of one, of the same sign (`google.type.Money`).
pub fn units(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().to_owned()
}

/// The billionths beside [`units`].
pub fn nanos(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).integer().not_null().to_owned()
}

/// ISO 4217.
pub fn currency() -> ColumnDef {
    ColumnDef::new("currency").char_len(3).not_null().to_owned()
}

/// The counter behind an etag, for a table that has rows already.
pub fn revision() -> ColumnDef {
    ColumnDef::new("revision").big_integer().not_null().default(1).to_owned()
}

/// The column holds one of these words.
pub fn one_of<const N: usize>(table: &str, column: &'static str, words: [&'static str; N]) -> Check {
    Check::named(format!("ck_{table}_{column}"), Expr::col(column).is_in(words))
}

/// A primary key of several columns.
pub fn primary_key<const N: usize>(table: &str, columns: [&'static str; N]) -> IndexCreateStatement {
    let mut key = Index::create().name(format!("pk_{table}")).primary().to_owned();
    for column in columns {
        key.col(column);
    }
    key
}

/// `column` points to the `id` of another table.
pub fn reference(
    table: &'static str,
    column: &'static str,
    parent: &'static str,
    on_delete: ForeignKeyAction,
) -> ForeignKeyCreateStatement {
    reference_to(table, column, parent, "id", on_delete)
}

/// `column` points to `key` of another table.
pub fn reference_to(
    table: &'static str,
    column: &'static str,
    parent: &'static str,
    key: &'static str,
    on_delete: ForeignKeyAction,
) -> ForeignKeyCreateStatement {
    let name = format!("fk_{table}_{column}");
    ForeignKey::create().name(name).from(table, column).to(parent, key).on_delete(on_delete).to_owned()
}

/// An index over these columns.
pub fn index<const N: usize>(table: &'static str, columns: [&'static str; N]) -> IndexCreateStatement {
    named_index("ix", table, columns)
}

/// No two rows have the same in these columns.
pub fn unique<const N: usize>(table: &'static str, columns: [&'static str; N]) -> IndexCreateStatement {
    named_index("ux", table, columns).unique().to_owned()
}

fn named_index<const N: usize>(prefix: &str, table: &'static str, columns: [&'static str; N]) -> IndexCreateStatement {
    let name = format!("{prefix}_{table}_{}", columns.join("_"));
    let mut index = Index::create().name(name).table(table).to_owned();
    for column in columns {
        index.col(column);
    }
    index
}

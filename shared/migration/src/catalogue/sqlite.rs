//! SQLite keeps the text of what made an object. Its pragmas know neither checks nor collations nor generated
//! expressions, so the text is taken apart, in one format.

use sea_orm::{ConnectionTrait, DbErr, Statement};

use super::sqlite_text::{TableText, text_of};
use super::{CatalogueObject, ObjectKind, Reader};

pub(super) async fn read(reader: &Reader<'_>) -> Result<Vec<CatalogueObject>, DbErr> {
    // Indexes of keys have no text; the table's says what they are. `sqlite_sequence` and its like are the engine's.
    let sql = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL \
               AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let statement = Statement::from_string(reader.tx.get_database_backend(), sql);
    let mut objects = Vec::new();
    for row in reader.tx.query_all_raw(statement).await? {
        let (kind, name, table): (String, String, String) =
            (row.try_get("", "type")?, row.try_get("", "name")?, row.try_get("", "tbl_name")?);
        let sql: String = row.try_get("", "sql")?;
        match kind.as_str() {
            "table" => objects.extend(of_table(name, &sql)),
            "index" => objects.push(within(ObjectKind::Index, table, &name, text_of(&sql))),
            "trigger" => objects.push(within(ObjectKind::Trigger, table, &name, text_of(&sql))),
            _ => objects.push(object(ObjectKind::View, name, text_of(&sql))),
        }
    }
    Ok(objects)
}

fn of_table(name: String, sql: &str) -> Vec<CatalogueObject> {
    let TableText { whole, columns, constraints } = TableText::read(sql);
    let columns = columns.into_iter().zip(1..).map(|((column, definition), position)| CatalogueObject {
        position,
        ..within(ObjectKind::Column, name.clone(), &column, definition)
    });
    let constraints = constraints.into_iter();
    let constraints = constraints.map(|(own, text)| within(ObjectKind::Constraint, name.clone(), &own, text));
    columns.chain(constraints).chain([object(ObjectKind::Table, name.clone(), whole)]).collect()
}

fn within(kind: ObjectKind, table: String, name: &str, definition: String) -> CatalogueObject {
    let name = format!("{table}.{name}");
    CatalogueObject { parent: Some(table), ..object(kind, name, definition) }
}

fn object(kind: ObjectKind, name: String, definition: String) -> CatalogueObject {
    CatalogueObject { kind, name, definition, parent: None, position: 0 }
}

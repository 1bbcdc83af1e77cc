//! The information schema of MariaDB and MySQL, and of the rights what stands in `mysql` alone.

use sea_orm::{ConnectionTrait, DbErr, Statement};

use super::{CatalogueObject, Listing, ObjectKind, Reader};

pub(super) async fn read(reader: &Reader<'_>) -> Result<Vec<CatalogueObject>, DbErr> {
    let statement = Statement::from_string(reader.tx.get_database_backend(), "SELECT VERSION() AS version");
    let row = reader.tx.query_one_raw(statement).await?;
    let version: String = row.map(|row| row.try_get("", "version")).transpose()?.unwrap_or_default();
    let own = if version.contains("MariaDB") { MARIADB } else { MYSQL };
    Ok([reader.list(OBJECTS).await?, reader.list(own).await?, reader.list(RIGHTS).await?].concat())
}

/// One row of the listing. Whatever character set the server keeps names in, they come as text.
macro_rules! row {
    ($parent:expr, $name:expr, $definition:expr) => {
        concat!(
            "SELECT CONVERT(",
            $parent,
            " USING utf8mb4) AS parent, CONVERT(",
            $name,
            " USING utf8mb4) AS name, \
             CONVERT(",
            $definition,
            " USING utf8mb4) AS definition "
        )
    };
}

/// `table.name`.
macro_rules! within {
    ($table:literal, $name:literal) => {
        concat!("CONCAT(", $table, ", '.', ", $name, ")")
    };
}

/// `user@host`, the tenant's by its role in the company.
macro_rules! definer {
    () => {
        "IF(SUBSTRING_INDEX(definer, '@', 1) = ?, '<tenant>', definer)"
    };
}

macro_rules! listing {
    ($kind:ident, $($sql:expr),+ $(,)?) => {
        Listing { kind: ObjectKind::$kind, sql: concat!($($sql),+) }
    };
}

const OBJECTS: &[Listing] = &[
    listing!(
        Database,
        row!("NULL", "'<database>'", "CONCAT_WS(' ', default_character_set_name, default_collation_name)"),
        "FROM information_schema.schemata WHERE schema_name = DATABASE()",
    ),
    listing!(
        Role,
        row!(
            "NULL",
            "CONCAT('<tenant>@', host)",
            "CONCAT_WS(' ', plugin, ssl_type, 'MAX_QUERIES', max_questions, 'MAX_UPDATES', max_updates, \
             'MAX_CONNECTIONS', max_connections, 'MAX_USER_CONNECTIONS', max_user_connections)"
        ),
        "FROM mysql.user WHERE user = ?",
    ),
    listing!(
        Table,
        row!("NULL", "table_name", "CONCAT_WS(' ', engine, row_format, table_collation, create_options)"),
        "FROM information_schema.tables WHERE table_schema = DATABASE() \
         AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')",
    ),
    listing!(
        Column,
        row!(
            "table_name",
            within!("table_name", "column_name"),
            "CONCAT_WS(' ', column_type, CONCAT('COLLATE ', collation_name), IF(is_nullable = 'YES', 'NULL', \
             'NOT NULL'), CONCAT('DEFAULT ', column_default), NULLIF(extra, ''), \
             CONCAT('AS ', NULLIF(generation_expression, '')))"
        ),
        ", CAST(ordinal_position AS SIGNED) AS position FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND table_name IN (SELECT t.table_name FROM information_schema.tables t \
         WHERE t.table_schema = DATABASE() AND t.table_type <> 'VIEW')",
    ),
    listing!(
        Constraint,
        row!(
            "k.table_name",
            within!("k.table_name", "k.constraint_name"),
            "CONCAT('FOREIGN KEY (', GROUP_CONCAT(k.column_name ORDER BY k.ordinal_position SEPARATOR ', '), \
             ') REFERENCES ', IF(k.referenced_table_schema = DATABASE(), '', CONCAT(k.referenced_table_schema, '.')), \
             k.referenced_table_name, ' (', GROUP_CONCAT(k.referenced_column_name ORDER BY k.ordinal_position \
             SEPARATOR ', '), ') ON DELETE ', r.delete_rule, ' ON UPDATE ', r.update_rule)"
        ),
        "FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r \
         ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name \
         AND r.table_name = k.table_name WHERE k.table_schema = DATABASE() AND k.referenced_table_name IS NOT NULL \
         GROUP BY k.table_name, k.constraint_name, k.referenced_table_schema, k.referenced_table_name, \
         r.delete_rule, r.update_rule",
    ),
    listing!(
        Index,
        row!(
            "table_name",
            within!("table_name", "index_name"),
            "CONCAT(IF(non_unique = 0, 'UNIQUE ', ''), index_type, ' (', GROUP_CONCAT(CONCAT(\
             COALESCE(column_name, 'an expression'), IF(sub_part IS NULL, '', CONCAT('(', sub_part, ')')), \
             IF(collation = 'D', ' DESC', '')) ORDER BY seq_in_index SEPARATOR ', '), ')')"
        ),
        "FROM information_schema.statistics WHERE table_schema = DATABASE() \
         GROUP BY table_name, index_name, non_unique, index_type",
    ),
    listing!(
        View,
        row!(
            "NULL",
            "table_name",
            concat!(
                "CONCAT_WS(' ', 'DEFINER', ",
                definer!(),
                ", 'SQL SECURITY', security_type, \
                 REPLACE(view_definition, CONCAT('`', DATABASE(), '`.'), ''), check_option)"
            )
        ),
        "FROM information_schema.views WHERE table_schema = DATABASE()",
    ),
    listing!(
        Trigger,
        row!(
            "event_object_table",
            within!("event_object_table", "trigger_name"),
            concat!(
                "CONCAT_WS(' ', 'DEFINER', ",
                definer!(),
                ", action_timing, event_manipulation, action_order, \
                 action_statement)"
            )
        ),
        "FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
    ),
    listing!(
        Function,
        row!(
            "NULL",
            "CONCAT(LOWER(routine_type), ' ', routine_name)",
            concat!(
                "CONCAT_WS(' ', 'DEFINER', ",
                definer!(),
                ", 'SQL SECURITY', security_type, CONCAT('(', COALESCE((\
                 SELECT GROUP_CONCAT(CONCAT_WS(' ', p.parameter_mode, p.parameter_name, p.dtd_identifier) \
                 ORDER BY p.ordinal_position SEPARATOR ', ') FROM information_schema.parameters p \
                 WHERE p.specific_schema = DATABASE() AND p.specific_name = r.specific_name), ''), ')'), \
                 is_deterministic, sql_data_access, routine_definition)"
            )
        ),
        "FROM information_schema.routines r WHERE routine_schema = DATABASE()",
    ),
    listing!(
        Event,
        row!(
            "NULL",
            "event_name",
            concat!(
                "CONCAT_WS(' ', 'DEFINER', ",
                definer!(),
                ", status, event_type, execute_at, interval_value, \
                 interval_field, starts, ends, on_completion, event_definition)"
            )
        ),
        "FROM information_schema.events WHERE event_schema = DATABASE()",
    ),
];

/// MariaDB names checks per table, and one of a column goes with the column.
const MARIADB: &[Listing] = &[
    listing!(
        Constraint,
        row!(
            "IF(level = 'Column', CONCAT(table_name, '.', constraint_name), table_name)",
            within!("table_name", "constraint_name"),
            "CONCAT('CHECK (', check_clause, ')')"
        ),
        "FROM information_schema.check_constraints WHERE constraint_schema = DATABASE()",
    ),
    listing!(
        Sequence,
        row!("NULL", "table_name", "engine"),
        "FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'SEQUENCE'",
    ),
    listing!(
        Grant,
        row!("NULL", "CONCAT('role ', role, ' to <tenant>@', host)", "IF(admin_option = 'Y', 'ADMIN', '')"),
        "FROM mysql.roles_mapping WHERE user = ?",
    ),
];

const MYSQL: &[Listing] = &[
    listing!(
        Constraint,
        row!(
            "t.table_name",
            within!("t.table_name", "c.constraint_name"),
            "CONCAT('CHECK (', c.check_clause, ')', IF(t.enforced = 'YES', '', ' NOT ENFORCED'))"
        ),
        "FROM information_schema.check_constraints c JOIN information_schema.table_constraints t \
         ON t.constraint_schema = c.constraint_schema AND t.constraint_name = c.constraint_name \
         AND t.constraint_type = 'CHECK' WHERE c.constraint_schema = DATABASE()",
    ),
    listing!(
        Grant,
        row!(
            "NULL",
            "CONCAT('role ', from_user, ' to <tenant>@', to_host)",
            "IF(with_admin_option = 'Y', 'ADMIN', '')"
        ),
        "FROM mysql.role_edges WHERE to_user = ?",
    ),
];

/// Privileges of one object and one account, as one text: `INSERT, SELECT (grantable)`.
macro_rules! privileges {
    ($parent:expr, $object:expr) => {
        row!(
            $parent,
            concat!(
                "CONCAT(",
                $object,
                ", ' to ', REPLACE(REPLACE(grantee, CONCAT('''', ?, ''''), '<tenant>'), '''', ''))"
            ),
            "GROUP_CONCAT(DISTINCT CONCAT(privilege_type, IF(is_grantable = 'YES', ' (grantable)', '')) \
             ORDER BY privilege_type SEPARATOR ', ')"
        )
    };
}

/// Of the tenant's account anywhere, and of every account in this database.
macro_rules! concerned {
    ($here:expr) => {
        concat!("WHERE (grantee LIKE CONCAT('''', ?, '''@%') OR ", $here, ") ")
    };
}

/// Rights outlive their table, and are nothing without it.
macro_rules! there {
    () => {
        "AND (table_schema <> DATABASE() OR table_name IN (SELECT t.table_name FROM information_schema.tables t \
         WHERE t.table_schema = DATABASE())) "
    };
}

const RIGHTS: &[Listing] = &[
    listing!(
        Grant,
        privileges!("NULL", "'*'"),
        "FROM information_schema.user_privileges ",
        concerned!("FALSE"),
        "GROUP BY grantee",
    ),
    // The database's name in a grant is a pattern.
    listing!(
        Grant,
        privileges!("NULL", "IF(REPLACE(table_schema, '\\\\_', '_') = DATABASE(), '<database>', table_schema)"),
        "FROM information_schema.schema_privileges ",
        concerned!("DATABASE() LIKE table_schema"),
        "GROUP BY table_schema, grantee",
    ),
    listing!(
        Grant,
        privileges!(
            "IF(table_schema = DATABASE(), table_name, NULL)",
            "CONCAT(IF(table_schema = DATABASE(), '', CONCAT(table_schema, '.')), table_name)"
        ),
        "FROM information_schema.table_privileges ",
        concerned!("table_schema = DATABASE()"),
        there!(),
        "GROUP BY table_schema, table_name, grantee",
    ),
    listing!(
        Grant,
        privileges!(
            "IF(table_schema = DATABASE(), CONCAT(table_name, '.', column_name), NULL)",
            "CONCAT(IF(table_schema = DATABASE(), '', CONCAT(table_schema, '.')), table_name, '.', column_name)"
        ),
        "FROM information_schema.column_privileges ",
        concerned!("table_schema = DATABASE()"),
        there!(),
        "GROUP BY table_schema, table_name, column_name, grantee",
    ),
    listing!(
        Grant,
        row!(
            "IF(db = DATABASE(), CONCAT(LOWER(routine_type), ' ', routine_name), NULL)",
            "CONCAT(LOWER(routine_type), ' ', IF(db = DATABASE(), '', CONCAT(db, '.')), routine_name, ' to ', \
             IF(user = ?, '<tenant>', user), '@', host)",
            "proc_priv"
        ),
        "FROM mysql.procs_priv WHERE user = ? OR db = DATABASE()",
    ),
];

//! PostgreSQL's own catalogue, with its own words for definitions.

use sea_orm::{ConnectionTrait, DbErr};

use super::{CatalogueObject, Listing, ObjectKind, Reader};

/// One snapshot; and names in definitions are qualified whatever the database's or the role's settings say.
const SETTINGS: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; \
    SET LOCAL search_path = pg_catalog; SET LOCAL quote_all_identifiers = off; \
    SET LOCAL lock_timeout = '5s'";

pub(super) async fn read(reader: &Reader<'_>) -> Result<Vec<CatalogueObject>, DbErr> {
    reader.tx.execute_unprepared(SETTINGS).await?;
    Ok([reader.list(OBJECTS).await?, reader.list(RIGHTS).await?].concat())
}

/// `name` of `schema`; what is in `public` goes without it.
macro_rules! qualified {
    ($schema:literal, $name:literal) => {
        concat!(
            "CASE ",
            $schema,
            " WHEN 'public' THEN '' ELSE quote_ident(",
            $schema,
            ") || '.' END || quote_ident(",
            $name,
            ")"
        )
    };
}

/// Not the engine's, nor an extension's: the extension's version says what that consists of.
macro_rules! ours {
    ($class:literal, $oid:literal) => {
        concat!(
            "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM pg_depend e WHERE \
             e.classid = '",
            $class,
            "'::regclass AND e.objid = ",
            $oid,
            " AND e.deptype = 'e')"
        )
    };
}

/// Every role's name as it is compared; zero is everybody.
macro_rules! roles {
    () => {
        "(SELECT oid, CASE rolname WHEN $1::text THEN '<tenant>' ELSE quote_ident(rolname) END AS name FROM pg_roles \
         UNION ALL SELECT 0, 'PUBLIC')"
    };
}

/// A function's name with the types that tell it from others of that name.
macro_rules! function {
    () => {
        concat!(qualified!("n.nspname", "p.proname"), " || '(' || pg_get_function_identity_arguments(p.oid) || ')'")
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
        "SELECT NULL AS parent, '<database>' AS name, concat_ws(', ', pg_encoding_to_char(d.encoding), d.datcollate, \
         d.datctype, 'connections ' || d.datconnlimit, CASE WHEN d.datallowconn THEN 'open' ELSE 'closed' END, \
         CASE WHEN d.datistemplate THEN 'template' END, (SELECT string_agg(o, ', ' ORDER BY o) FROM \
         pg_db_role_setting s, unnest(s.setconfig) o WHERE s.setdatabase = d.oid AND s.setrole = 0)) AS definition \
         FROM pg_database d WHERE d.datname = current_database()",
    ),
    listing!(
        Role,
        "SELECT NULL AS parent, '<tenant>' AS name, concat_ws(' ', CASE WHEN rolcanlogin THEN 'LOGIN' END, \
         CASE WHEN rolinherit THEN 'INHERIT' END, CASE WHEN rolsuper THEN 'SUPERUSER' END, \
         CASE WHEN rolcreatedb THEN 'CREATEDB' END, CASE WHEN rolcreaterole THEN 'CREATEROLE' END, \
         CASE WHEN rolreplication THEN 'REPLICATION' END, CASE WHEN rolbypassrls THEN 'BYPASSRLS' END, \
         'CONNECTION LIMIT ' || rolconnlimit, 'VALID UNTIL ' || rolvaliduntil, \
         'MEMBER OF ' || (SELECT string_agg(quote_ident(g.rolname), ', ' ORDER BY g.rolname) FROM pg_auth_members m \
         JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid), \
         'WITH ' || (SELECT string_agg(quote_ident(g.rolname), ', ' ORDER BY g.rolname) FROM pg_auth_members m \
         JOIN pg_roles g ON g.oid = m.member WHERE m.roleid = r.oid), \
         'SET ' || (SELECT string_agg(o, ', ' ORDER BY o) FROM pg_db_role_setting s, unnest(s.setconfig) o \
         WHERE s.setrole = r.oid AND s.setdatabase IN (0, \
         (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())))) AS definition \
         FROM pg_roles r WHERE rolname = $1::text",
    ),
    listing!(
        Schema,
        "SELECT NULL AS parent, 'schema ' || quote_ident(n.nspname) AS name, NULL AS definition \
         FROM pg_namespace n WHERE ",
        ours!("pg_namespace", "n.oid"),
    ),
    listing!(
        Extension,
        "SELECT NULL AS parent, quote_ident(extname) AS name, extversion AS definition FROM pg_extension",
    ),
    listing!(
        Type,
        "SELECT 'schema ' || quote_ident(n.nspname) AS parent, ",
        qualified!("n.nspname", "t.typname"),
        " AS name, CASE t.typtype \
         WHEN 'e' THEN 'ENUM ' || coalesce((SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY \
         e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid), '') \
         WHEN 'd' THEN concat_ws(' ', 'DOMAIN', format_type(t.typbasetype, t.typtypmod), \
         CASE WHEN t.typnotnull THEN 'NOT NULL' END, 'DEFAULT ' || t.typdefault, (SELECT string_agg(c.conname || \
         ' ' || pg_get_constraintdef(c.oid), ' ' ORDER BY c.conname) FROM pg_constraint c WHERE c.contypid = t.oid)) \
         WHEN 'r' THEN 'RANGE ' || (SELECT format_type(r.rngsubtype, NULL) FROM pg_range r WHERE r.rngtypid = t.oid) \
         ELSE 'COMPOSITE ' || coalesce((SELECT string_agg(quote_ident(a.attname) || ' ' || \
         format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum) FROM pg_attribute a \
         WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '') END AS definition \
         FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class r ON r.oid = t.typrelid \
         WHERE (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND r.relkind = 'c') AND ",
        ours!("pg_type", "t.oid"),
    ),
    listing!(
        Table,
        "SELECT 'schema ' || quote_ident(n.nspname) AS parent, ",
        qualified!("n.nspname", "c.relname"),
        " AS name, concat_ws(' ', CASE c.relkind \
         WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'PARTITIONED TABLE' ELSE 'FOREIGN TABLE' END, \
         CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED' WHEN 't' THEN 'TEMPORARY' END, 'USING ' || am.amname, \
         'BY ' || pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid), \
         'INHERITS ' || (SELECT string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno) FROM pg_inherits i \
         WHERE i.inhrelid = c.oid), 'WITH ' || array_to_string(c.reloptions, ', '), \
         CASE WHEN c.relrowsecurity THEN 'ROW SECURITY' END, CASE WHEN c.relforcerowsecurity THEN 'FORCED' END, \
         CASE WHEN c.relreplident <> 'd' THEN 'REPLICA IDENTITY ' || c.relreplident::text END, \
         'TABLESPACE ' || (SELECT s.spcname FROM pg_tablespace s WHERE s.oid = c.reltablespace)) AS definition \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am am ON am.oid = c.relam \
         WHERE c.relkind IN ('r', 'p', 'f') AND ",
        ours!("pg_class", "c.oid"),
    ),
    listing!(
        Column,
        "SELECT ",
        qualified!("n.nspname", "c.relname"),
        " AS parent, ",
        qualified!("n.nspname", "c.relname"),
        " || '.' || quote_ident(a.attname) AS name, a.attnum::bigint AS position, concat_ws(' ', \
         format_type(a.atttypid, a.atttypmod), CASE WHEN a.attcollation <> t.typcollation THEN 'COLLATE ' || \
         (SELECT quote_ident(l.collname) FROM pg_collation l WHERE l.oid = a.attcollation) END, \
         CASE WHEN a.attnotnull THEN 'NOT NULL' END, CASE a.attidentity WHEN 'a' THEN 'GENERATED ALWAYS AS IDENTITY' \
         WHEN 'd' THEN 'GENERATED BY DEFAULT AS IDENTITY' END, CASE WHEN a.attgenerated = '' THEN 'DEFAULT ' ELSE \
         'GENERATED ' || a.attgenerated::text || ' AS ' END || pg_get_expr(d.adbin, d.adrelid), \
         CASE WHEN a.attstorage <> t.typstorage THEN 'STORAGE ' || a.attstorage::text END, \
         'WITH ' || array_to_string(a.attoptions, ', ')) AS definition \
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
         WHERE c.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND ",
        ours!("pg_class", "c.oid"),
    ),
    // A column says by itself whether it is NOT NULL; constraint triggers are with the triggers. The index of a key
    // has its operator classes and its options.
    listing!(
        Constraint,
        "SELECT ",
        qualified!("n.nspname", "c.relname"),
        " AS parent, ",
        qualified!("n.nspname", "c.relname"),
        " || '.' || quote_ident(o.conname) AS name, concat_ws(' ', pg_get_constraintdef(o.oid), \
         CASE WHEN NOT o.conislocal THEN 'INHERITED' END, CASE WHEN o.contype IN ('p', 'u', 'x') THEN \
         'BY ' || pg_get_indexdef(o.conindid) END, CASE WHEN NOT i.indisvalid THEN 'INVALID' END) AS definition \
         FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_index i ON i.indexrelid = o.conindid AND o.contype IN ('p', 'u', 'x') \
         WHERE o.contype IN ('c', 'f', 'p', 'u', 'x') AND ",
        ours!("pg_class", "c.oid"),
    ),
    listing!(
        Index,
        "SELECT ",
        qualified!("n.nspname", "c.relname"),
        " AS parent, ",
        qualified!("n.nspname", "c.relname"),
        " || '.' || quote_ident(x.relname) AS name, concat_ws(' ', pg_get_indexdef(i.indexrelid), \
         CASE WHEN NOT i.indisvalid THEN 'INVALID' END, CASE WHEN i.indisreplident THEN 'REPLICA IDENTITY' END) \
         AS definition FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT EXISTS (SELECT FROM pg_constraint o \
         WHERE o.conindid = i.indexrelid AND o.contype IN ('p', 'u', 'x')) AND c.relkind <> 't' AND ",
        ours!("pg_class", "c.oid"),
    ),
    listing!(
        Sequence,
        "SELECT (SELECT d.refobjid::regclass::text || '.' || quote_ident(a.attname) FROM pg_depend d \
         JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid WHERE d.objid = c.oid \
         AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')) \
         AS parent, ",
        qualified!("n.nspname", "c.relname"),
        " AS name, concat_ws(' ', \
         format_type(s.seqtypid, NULL), 'START', s.seqstart, 'INCREMENT', s.seqincrement, 'FROM', s.seqmin, 'TO', \
         s.seqmax, 'CACHE', s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' END) AS definition FROM pg_sequence s \
         JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ",
        ours!("pg_class", "c.oid"),
    ),
    listing!(
        View,
        "SELECT 'schema ' || quote_ident(n.nspname) AS parent, ",
        qualified!("n.nspname", "c.relname"),
        " AS name, concat_ws(' ', CASE c.relkind \
         WHEN 'm' THEN 'MATERIALIZED' END, CASE WHEN NOT c.relispopulated THEN 'EMPTY' END, \
         'WITH ' || array_to_string(c.reloptions, ', '), pg_get_viewdef(c.oid)) AS definition FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') AND ",
        ours!("pg_class", "c.oid"),
    ),
    listing!(
        Function,
        "SELECT 'schema ' || quote_ident(n.nspname) AS parent, ",
        function!(),
        " AS name, CASE p.prokind WHEN 'a' THEN \
         'AGGREGATE ' || (SELECT concat_ws(' ', g.aggtransfn, g.aggfinalfn, g.agginitval) FROM pg_aggregate g \
         WHERE g.aggfnoid = p.oid) ELSE pg_get_functiondef(p.oid) END AS definition FROM pg_proc p \
         JOIN pg_namespace n ON n.oid = p.pronamespace WHERE ",
        ours!("pg_proc", "p.oid"),
    ),
    listing!(
        Trigger,
        "SELECT ",
        qualified!("n.nspname", "c.relname"),
        " AS parent, ",
        qualified!("n.nspname", "c.relname"),
        " || '.' || quote_ident(t.tgname) AS name, pg_get_triggerdef(t.oid) || CASE t.tgenabled WHEN 'O' THEN '' \
         ELSE ' ENABLED ' || t.tgenabled::text END AS definition FROM pg_trigger t \
         JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal AND ",
        ours!("pg_class", "c.oid"),
    ),
    listing!(
        Rule,
        "SELECT ",
        qualified!("n.nspname", "c.relname"),
        " AS parent, ",
        qualified!("n.nspname", "c.relname"),
        " || '.' || quote_ident(r.rulename) AS name, pg_get_ruledef(r.oid) || CASE r.ev_enabled WHEN 'O' THEN '' \
         ELSE ' ENABLED ' || r.ev_enabled::text END AS definition FROM pg_rewrite r \
         JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace WHERE r.rulename <> '_RETURN' AND ",
        ours!("pg_class", "c.oid"),
    ),
    listing!(
        Policy,
        "SELECT ",
        qualified!("n.nspname", "c.relname"),
        " AS parent, ",
        qualified!("n.nspname", "c.relname"),
        " || '.' || quote_ident(p.polname) AS name, concat_ws(' ', CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE \
         'RESTRICTIVE' END, p.polcmd, 'TO', (SELECT string_agg(r.name, ', ' ORDER BY r.name) FROM ",
        roles!(),
        " r \
         WHERE r.oid = ANY (p.polroles)), 'USING ' || pg_get_expr(p.polqual, c.oid), \
         'CHECK ' || pg_get_expr(p.polwithcheck, c.oid)) AS definition FROM pg_policy p \
         JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ",
        ours!("pg_class", "c.oid"),
    ),
    listing!(
        Statistics,
        "SELECT 'schema ' || quote_ident(n.nspname) AS parent, ",
        qualified!("n.nspname", "s.stxname"),
        " AS name, pg_get_statisticsobjdef(s.oid) \
         AS definition FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE ",
        ours!("pg_statistic_ext", "s.oid"),
    ),
];

/// What can be owned and granted: name, owner, rights, and the letter that `acldefault` knows its kind by.
macro_rules! owned {
    () => {
        concat!(
            "SELECT ",
            qualified!("n.nspname", "c.relname"),
            " AS name, c.relowner AS owner, c.relacl AS acl, \
             CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r'::\"char\" END AS letter FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND ",
            ours!("pg_class", "c.oid"),
            " UNION ALL SELECT ",
            function!(),
            ", p.proowner, p.proacl, 'f' FROM pg_proc p \
             JOIN pg_namespace n ON n.oid = p.pronamespace WHERE ",
            ours!("pg_proc", "p.oid"),
            " UNION ALL SELECT ",
            qualified!("n.nspname", "t.typname"),
            ", t.typowner, t.typacl, 'T' FROM pg_type t \
             JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class r ON r.oid = t.typrelid \
             WHERE (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND r.relkind = 'c') AND ",
            ours!("pg_type", "t.oid"),
            " UNION ALL SELECT 'schema ' || quote_ident(n.nspname), n.nspowner, n.nspacl, 'n' \
             FROM pg_namespace n WHERE ",
            ours!("pg_namespace", "n.oid"),
            " UNION ALL SELECT '<database>', d.datdba, d.datacl, 'd' FROM pg_database d \
             WHERE d.datname = current_database()"
        )
    };
}

/// Rights of one object and one role, as one text. The owner's are called that, so that another owner is one finding.
macro_rules! rights {
    ($owner:literal) => {
        concat!(
            " || ' to ' || CASE WHEN x.grantee = ",
            $owner,
            " THEN '<owner>' ELSE r.name END AS name, \
             string_agg(x.privilege_type || CASE WHEN x.is_grantable THEN ' (grantable)' ELSE '' END, ', ' \
             ORDER BY x.privilege_type) AS definition"
        )
    };
}

const RIGHTS: &[Listing] = &[
    listing!(
        Owner,
        "SELECT o.name AS parent, o.name, r.name AS definition FROM (",
        owned!(),
        ") o JOIN ",
        roles!(),
        " r ON r.oid = o.owner",
    ),
    listing!(
        Grant,
        "SELECT o.name AS parent, o.name",
        rights!("o.owner"),
        " FROM (",
        owned!(),
        ") o, \
         aclexplode(coalesce(o.acl, acldefault(o.letter, o.owner))) x LEFT JOIN ",
        roles!(),
        " r ON r.oid = x.grantee \
         GROUP BY o.name, o.owner, x.grantee, r.name",
    ),
    listing!(
        Grant,
        "SELECT min(",
        qualified!("n.nspname", "c.relname"),
        " || '.' || quote_ident(a.attname)) AS parent, ",
        qualified!("n.nspname", "c.relname"),
        " || '.' || quote_ident(a.attname)",
        rights!("c.relowner"),
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         CROSS JOIN aclexplode(a.attacl) x LEFT JOIN ",
        roles!(),
        " r ON r.oid = x.grantee \
         WHERE NOT a.attisdropped AND ",
        ours!("pg_class", "c.oid"),
        " GROUP BY n.nspname, c.relname, a.attname, c.relowner, x.grantee, r.name",
    ),
    listing!(
        DefaultGrant,
        "SELECT NULL AS parent, concat_ws(' ', w.name, coalesce('in ' || quote_ident(n.nspname), 'everywhere'), \
         CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions' \
         WHEN 'T' THEN 'types' ELSE 'schemas' END)",
        rights!("d.defaclrole"),
        " FROM pg_default_acl d JOIN ",
        roles!(),
        " w ON w.oid = d.defaclrole LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace \
         CROSS JOIN aclexplode(d.defaclacl) x LEFT JOIN ",
        roles!(),
        " r ON r.oid = x.grantee \
         GROUP BY d.oid, d.defaclobjtype, d.defaclrole, w.name, n.nspname, x.grantee, r.name",
    ),
];

//! What stands in which file. Read as words, comments left out: enough to notice what was not meant.

use std::fs;
use std::path::Path;

use super::{Breach, hold, root};

/// Words that belong into some files only. A `*` in a path is any one folder.
struct Ban {
    rule: &'static str,
    words: &'static [&'static str],
    /// Where the words are looked for.
    within: &'static [&'static str],
    /// Where they belong. Each of these must need it.
    home: &'static [&'static str],
    /// Only in files with this in them; empty: in all.
    files_with: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        rule: "A connection to a database server is opened by tenancy for one tenant, by the migrator for its work, \
               and by nobody else.",
        words: &[
            "AnyConnection",
            "MySqlConnectOptions",
            "MySqlConnection",
            "MySqlPool",
            "MySqlPoolOptions",
            "PgConnectOptions",
            "PgConnection",
            "PgPool",
            "PgPoolOptions",
            "SqliteConnectOptions",
            "SqliteConnection",
            "SqlitePool",
            "SqlitePoolOptions",
        ],
        within: &["deploy/*/src", "examples/*/src", "services/*/src", "shared/*/src", "xtask/src"],
        home: &[
            "services/migrator/src/central.rs",
            "services/migrator/src/servers",
            "shared/tenancy/src/engine",
            "shared/tenancy/src/tests",
            "shared/testkit/src",
        ],
        files_with: "",
    },
    Ban {
        rule: "No function of a service takes a bare connection: a tenant's comes as a TenantDb, the central one as a \
               CentralConnection.",
        words: &["DatabaseConnection", "DatabaseTransaction", "DbConn"],
        within: &["examples/*/src", "services/catalog/src", "services/crm/src"],
        home: &["services/catalog/src/store"],
        files_with: "",
    },
    Ban {
        rule: "A tenant's tables know no tenant: the database is the tenant's.",
        words: &["company_id", "tenant_id", "CompanyId"],
        within: &["examples/*/src", "services/crm/src"],
        home: &[],
        files_with: "DeriveEntityModel",
    },
    Ban {
        rule: "The domain is pure: nothing waits, and it knows neither the wire nor a database.",
        words: &[
            "async",
            "await",
            "ConnectionTrait",
            "Database",
            "DatabaseConnection",
            "DbConn",
            "TransactionTrait",
            "prost",
            "sqlx",
            "tenantry_api",
            "tonic",
        ],
        within: &["services/*/src/domain"],
        home: &[],
        files_with: "",
    },
    Ban {
        rule: "A handler asks the app, never the database.",
        words: &["ActiveModel", "ConnectionTrait", "Entity", "EntityTrait", "TransactionTrait"],
        within: &["services/*/src/grpc"],
        home: &[],
        files_with: "",
    },
];

/// Files of more lines than one person can hold in mind; none so far.
const LONG: &[&str] = &[];
const MOST_LINES: usize = 400;

#[test]
fn words_stand_where_they_belong() {
    for ban in BANS {
        let mut needed = vec![false; ban.home.len()];
        let mut breaches = Vec::new();
        for (path, text) in sources(ban.within) {
            let Some(word) = ban.words.iter().find(|word| words(&text).any(|found| found == **word)) else { continue };
            match ban.home.iter().position(|home| is_under(&path, home)) {
                Some(at) => needed[at] = true,
                None if text.contains(ban.files_with) => breaches.push(Breach::new(path, format!("names {word}"))),
                None => {}
            }
        }
        let unused = ban.home.iter().zip(needed).filter(|(_, needed)| !needed);
        breaches.extend(unused.map(|(home, _)| Breach::new(*home, "needs none of the words any more; take it out")));
        hold(ban.rule, breaches, &[]);
    }
}

#[test]
fn handlers_name_types_of_the_store_and_no_functions() {
    let mut breaches = Vec::new();
    for (path, text) in sources(&["services/*/src/grpc"]) {
        let paths = text.match_indices("store::").filter(|(at, _)| !text[..*at].ends_with(is_word));
        for leaf in paths.flat_map(|(at, found)| leaves("store", &text[at + found.len()..])) {
            let is_type = leaf.split("::").any(|part| part.starts_with(char::is_uppercase) || part == "entities");
            if !is_type {
                breaches.push(Breach::new(path.clone(), format!("names {leaf}; ask the app for it")));
            }
        }
    }
    hold("A handler parses, calls and converts.", breaches, &[]);
}

#[test]
fn files_are_small() {
    let long = sources(&["examples/*/src", "services/*/src", "shared/*/src"]).into_iter().filter_map(|(path, _)| {
        let lines = fs::read_to_string(root().join(&path)).unwrap_or_default().lines().count();
        (lines > MOST_LINES).then(|| Breach::new(path, format!("has {lines} lines; split it")))
    });
    hold("A file has at most 400 lines.", long.collect(), LONG);
}

/// The Rust files under these paths, by their path from the root, without comments.
pub(super) fn sources(within: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for top in ["deploy", "examples", "services", "shared", "xtask"] {
        walk(&root(), top, &mut found);
    }
    found.retain(|path| within.iter().any(|pattern| is_under(path, pattern)));
    assert!(!found.is_empty(), "there is nothing under {within:?}");
    let read = |path: String| {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        (path, code.collect::<Vec<_>>().join("\n"))
    };
    found.into_iter().map(read).collect()
}

fn walk(root: &Path, folder: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            walk(root, &path, found);
        } else if path.ends_with(".rs") {
            found.push(path);
        }
    }
}

fn is_under(path: &str, pattern: &str) -> bool {
    let mut parts = path.split('/');
    pattern.split('/').all(|wanted| parts.next().is_some_and(|part| wanted == "*" || wanted == part))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter| !is_word(letter))
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Every path that begins with `prefix`, as a `use` or an expression spells them: `a::{b, c::D}` is two.
fn leaves(prefix: &str, text: &str) -> Vec<String> {
    let text = text.trim_start();
    if let Some(list) = text.strip_prefix('{') {
        return parts(list).into_iter().flat_map(|part| leaves(prefix, part)).collect();
    }
    let end = text.find(|letter| !is_word(letter)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let path = format!("{prefix}::{name}");
    rest.strip_prefix("::").map_or_else(|| vec![path.clone()], |rest| leaves(&path, rest))
}

/// The parts of a list that ends with its own brace.
fn parts(list: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0, 0, Vec::new());
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.push(list[from..at].trim());
                from = at + 1;
                if letter == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found.retain(|part| !part.is_empty());
    found
}

#[test]
fn paths_are_read_as_rust_reads_them() {
    let read = |text| leaves("store", text);
    assert_eq!(read("people::find(db)"), ["store::people::find"]);
    assert_eq!(
        read("{StoreError, people::{self, Person}};"),
        ["store::StoreError", "store::people::self", "store::people::Person"]
    );
    assert!(is_under("services/crm/src/domain/mod.rs", "services/*/src/domain"));
    assert!(!is_under("services/crm/src/domain.rs", "services/*/src/domain"));
}

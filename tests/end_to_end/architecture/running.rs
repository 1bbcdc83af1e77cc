//! What only running services can tell: the scopes that people get, and the tables that the migrations made.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};
use tenantry_api::access::{AccessRules, descriptor_pool};
use tenantry_api::catalog::v1::{IssueOperatorTokenRequest, LoginRequest};
use tenantry_api::options::v1::CallerKind;
use tenantry_testkit::actors::{Owner, PASSWORD};
use tenantry_testkit::sandbox::{Engine, Sandbox};

use super::sources::sources;
use super::{Breach, hold};

/// Which service's entities are of which database of a sandbox.
const DATABASES: &[(&str, &str)] = &[
    ("services/catalog/src", "data/central.db"),
    ("services/crm/src", "data/tenants"),
    ("services/migrator/src", "data/migrator.db"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scopes_are_granted_and_entities_have_tables() -> anyhow::Result<()> {
    let sandbox = Sandbox::start(Engine::Sqlite).await?;
    let owner = Owner::of_new_company(&sandbox, "Architecture").await?;
    let breaches = scopes(&sandbox, &owner.email).await?;
    hold("Every scope of an RPC is somebody's, and every scope that somebody has is an RPC's.", breaches, &[]);

    // Plugins' tables are there where they are installed.
    for plugin in ["appliances", "sms"] {
        crate::plugins::with_plugin(&sandbox, &owner, plugin).await?;
    }
    let mut breaches = Vec::new();
    for (service, database) in DATABASES {
        breaches.extend(entities_without_tables(service, &file(&sandbox.folder().join(database))?).await?);
    }
    hold("Every entity has its table, and every field its column.", breaches, &[]);
    sandbox.stop().await
}

/// A service asks for exactly what the migrator makes; N+1 may ask for less, and says so here.
#[test]
fn services_know_the_newest_migrations() -> anyhow::Result<()> {
    let (central, tenant) = (migrator::sets::central()?, migrator::sets::tenant()?);
    assert_eq!(Some(crm::SCHEMA.newest), tenant.head(), "crm::SCHEMA.newest is not the newest migration of tenants");
    assert!(tenant.contains(crm::SCHEMA.oldest), "crm::SCHEMA.oldest is no migration of tenants");

    let set = notes_migrations::set()?;
    assert_eq!((Some(notes::SCHEMA.newest), set.contains(notes::SCHEMA.oldest)), (set.head(), true), "the example's");

    let plugins: std::collections::BTreeMap<_, _> =
        migrator::sets::plugins()?.into_iter().map(|set| (set.name().to_owned(), set)).collect();
    for (name, range) in crm::PLUGINS {
        let set = plugins.get(&format!("plugin_{name}")).with_context(|| format!("there is no plugin {name}"))?;
        assert_eq!(Some(range.newest), set.head(), "crm::PLUGINS has not the newest migration of {name}");
        assert!(set.contains(range.oldest), "crm::PLUGINS names no migration of {name}");
    }
    let crm = AccessRules::of_services(crm_services()?.iter().map(String::as_str))?;
    let named = crm.iter().filter_map(|(path, rule)| Some((path, rule.plugin.clone()?)));
    let unknown: Vec<_> = named.filter(|(_, name)| crm::PLUGINS.iter().all(|(known, _)| *known != &**name)).collect();
    assert!(unknown.is_empty(), "crm::PLUGINS has no range for the plugins of {unknown:?}");

    let catalog = sources(&["services/catalog/src/store"]);
    let needed = catalog.iter().find_map(|(_, text)| text.split_once("NEEDED: &str = \"")?.1.split('"').next());
    assert_eq!(needed, central.head(), "the catalog's NEEDED is not the newest central migration");
    Ok(())
}

fn crm_services() -> anyhow::Result<Vec<String>> {
    let services = descriptor_pool()?.services().map(|service| service.full_name().to_owned());
    Ok(services.filter(|name| name.starts_with("tenantry.crm.")).collect())
}

async fn scopes(sandbox: &Sandbox, email: &str) -> anyhow::Result<Vec<Breach>> {
    let login = LoginRequest { email: email.to_owned(), password: PASSWORD.to_owned(), ..Default::default() };
    let owners: BTreeSet<_> = sandbox.tokens()?.login(login).await?.into_inner().scopes.into_iter().collect();
    let credential = IssueOperatorTokenRequest { credential: sandbox.operator_credential()?, audiences: Vec::new() };
    let answer = sandbox.operators()?.issue_operator_token(credential).await?.into_inner();
    let operators: BTreeSet<_> = answer.scopes.into_iter().collect();

    let services = descriptor_pool()?.services().filter(|service| service.full_name().starts_with("tenantry."));
    let names: Vec<_> = services.map(|service| service.full_name().to_owned()).collect();
    let rules = AccessRules::of_services(names.iter().map(String::as_str))?;
    let mut breaches = Vec::new();
    for (path, rule) in rules.iter() {
        let Some(scope) = &rule.scope else { continue };
        for (kind, who, held) in
            [(CallerKind::User, "owners", &owners), (CallerKind::Operator, "operators", &operators)]
        {
            if rule.admits(kind) && !held.contains(scope) {
                breaches.push(Breach::new(path, format!("needs {scope}, which not even {who} have")));
            }
        }
    }
    let needed: BTreeSet<_> = rules.iter().filter_map(|(_, rule)| rule.scope.as_deref()).collect();
    let idle = owners.union(&operators).filter(|scope| !needed.contains(scope.as_str()));
    breaches.extend(idle.map(|scope| Breach::new(scope, "is granted, and no RPC asks for it")));
    Ok(breaches)
}

/// The database of that name, or the one in that folder.
fn file(path: &Path) -> anyhow::Result<PathBuf> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let mut files = std::fs::read_dir(path)?.filter_map(|entry| Some(entry.ok()?.path()));
    files.find(|file| file.extension().is_some_and(|kind| kind == "db")).with_context(|| format!("nothing in {path:?}"))
}

async fn entities_without_tables(service: &str, database: &Path) -> anyhow::Result<Vec<Breach>> {
    let options = SqliteConnectOptions::new().filename(database).read_only(true);
    let mut database = SqliteConnection::connect_with(&options).await?;
    let mut breaches = Vec::new();
    let mut entities = 0;
    for (path, text) in sources(&[service]) {
        for entity in text.split("DeriveEntityModel").skip(1) {
            entities += 1;
            let table = quoted_after(entity, "table_name = ").with_context(|| format!("{path}: no table_name"))?;
            let rows =
                sqlx::query("SELECT name FROM pragma_table_info(?)").bind(table).fetch_all(&mut database).await?;
            let columns: BTreeSet<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
            if columns.is_empty() {
                breaches.push(Breach::new(path.clone(), format!("there is no table {table}")));
                continue;
            }
            let fields = fields(entity);
            anyhow::ensure!(!fields.is_empty(), "{path}: no fields of {table} were found");
            let missing = fields.into_iter().filter(|field| !columns.contains(*field));
            breaches.extend(missing.map(|field| Breach::new(path.clone(), format!("{table} has no {field}"))));
        }
    }
    database.close().await?;
    anyhow::ensure!(entities > 0, "{service} has no entities");
    Ok(breaches)
}

/// The fields of the model that follows: a line each, `pub name: Type,`.
fn fields(entity: &str) -> Vec<&str> {
    let body = entity.split_once("struct Model {").map_or("", |(_, rest)| rest);
    let body = body.split_once("\n}").or_else(|| body.split_once('}')).map_or(body, |(body, _)| body);
    let lines = body.lines().filter_map(|line| line.trim().strip_prefix("pub"));
    let names = lines.filter_map(|line| line.strip_prefix("(crate)").unwrap_or(line).split_once(':'));
    names.map(|(name, _)| name.trim()).collect()
}

fn quoted_after<'t>(text: &'t str, before: &str) -> Option<&'t str> {
    text.split_once(before)?.1.strip_prefix('"')?.split('"').next()
}

//! `tenantry make migration`: a new file in its set's folder, and its line in the set's list.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use clap::{ArgGroup, Args, Subcommand};
use tenantry_rpc::{Clock, SystemClock};

use super::exit::Exit;
use super::output::Output;

#[derive(Subcommand)]
pub enum Make {
    /// Writes a migration, with a table to begin from, and registers it in its set.
    Migration(Migration),
}

#[derive(Args)]
#[command(group = ArgGroup::new("set").required(true))]
pub struct Migration {
    /// What it does, in snake case: add_invoices.
    name: String,

    /// For companies' databases.
    #[arg(long, group = "set")]
    tenant: bool,

    /// For the central database.
    #[arg(long, group = "set")]
    central: bool,

    /// For both: the same file in either sequence.
    #[arg(long, group = "set")]
    both: bool,

    /// For companies that have this plugin.
    #[arg(long, group = "set", value_name = "PLUGIN")]
    plugin: Option<String>,

    /// The folder of the migrations.
    #[arg(long, value_name = "FOLDER", default_value = "services/migrator/migrations")]
    path: PathBuf,
}

impl Make {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Exit> {
        let Make::Migration(migration) = self;
        for file in migration.write(SystemClock.now())? {
            output.line(&file.display().to_string())?;
        }
        Ok(Exit::Done)
    }
}

impl Migration {
    /// Writes the file and its registration; the files that it has written.
    fn write(&self, now: DateTime<Utc>) -> anyhow::Result<Vec<PathBuf>> {
        ensure!(is_snake_case(&self.name), "{:?} is no name of a migration: write it in snake case", self.name);
        ensure!(
            self.path.join("columns.rs").is_file(),
            "{} is not the folder of the migrations: run this where the sources are, or give --path",
            self.path.display()
        );
        let module = format!("m{}_{}", now.format("%Y%m%d_%H%M%S"), self.name);
        ensure!(module.len() <= MAX_VERSION, "{module} is longer than {MAX_VERSION} characters");
        match &self.plugin {
            Some(plugin) => self.write_for_plugin(plugin, &module),
            None => {
                let folder = self.path.join(self.set());
                let list = if self.both { List::Both } else { List::Set };
                Ok(vec![
                    write_migration(&folder, &module, &self.name, "super::super")?,
                    register(&folder, &module, list)?,
                ])
            }
        }
    }

    fn set(&self) -> &'static str {
        match (self.tenant, self.central) {
            (true, _) => "tenant",
            (_, true) => "central",
            (false, false) => "both",
        }
    }

    fn write_for_plugin(&self, plugin: &str, module: &str) -> anyhow::Result<Vec<PathBuf>> {
        ensure!(is_snake_case(plugin), "{plugin:?} is no name of a plugin: write it in snake case");
        let plugins = self.path.join("plugins");
        let folder = plugins.join(plugin);
        let mut written = Vec::new();
        if !folder.exists() {
            std::fs::create_dir_all(&folder)?;
            let list = folder.join("mod.rs");
            std::fs::write(&list, PLUGIN_LIST.replace("{plugin}", plugin))?;
            written.push(list);
            let all = plugins.join("mod.rs");
            let text = declare(&read(&all)?, plugin)?;
            let text = insert_item(&text, &format!("{plugin}::set()?"))?;
            std::fs::write(&all, text)?;
            written.push(all);
        }
        written.push(write_migration(&folder, module, &self.name, "super::super::super")?);
        written.push(register(&folder, module, List::Set)?);
        Ok(written)
    }
}

/// As long as a ledger's version.
const MAX_VERSION: usize = 100;

fn is_snake_case(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn write_migration(folder: &Path, module: &str, name: &str, columns: &str) -> anyhow::Result<PathBuf> {
    let file = folder.join(format!("{module}.rs"));
    ensure!(!file.exists(), "{} is there already", file.display());
    std::fs::write(&file, MIGRATION.replace("{name}", name).replace("{columns}", columns))?;
    Ok(file)
}

/// How a set's list is written.
enum List {
    /// `SetBuilder::new(…).add(…).build()`.
    Set,
    /// `vec![…]`.
    Both,
}

fn register(folder: &Path, module: &str, list: List) -> anyhow::Result<PathBuf> {
    let file = folder.join("mod.rs");
    let text = declare(&read(&file)?, module)?;
    let text = match list {
        List::Set => add_to_chain(&text, &format!(".add({module}::Migration)"))?,
        List::Both => insert_item(&text, &format!("{module}::Migration.into()"))?,
    };
    std::fs::write(&file, text)?;
    Ok(file)
}

/// Declares a module behind the last one, or before the function where there is none.
fn declare(text: &str, module: &str) -> anyhow::Result<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let declaration = format!("mod {module};");
    match lines.iter().rposition(|line| line.starts_with("mod ")) {
        Some(last) => lines.insert(last + 1, &declaration),
        None => {
            let at = lines.iter().position(|line| line.starts_with("pub(super) fn"));
            let at = at.with_context(|| format!("no place for {declaration:?}: the list is not as it should be"))?;
            lines.splice(at..at, [declaration.as_str(), ""]);
        }
    }
    Ok(lines.join("\n") + "\n")
}

/// Puts a call before the last `.build()`: on a line of its own, unless the whole chain is on one.
fn add_to_chain(text: &str, call: &str) -> anyhow::Result<String> {
    let (before, after) = text.rfind(".build()").map(|at| text.split_at(at)).context("a set without its build()")?;
    let indent = before.rsplit('\n').next().unwrap_or_default();
    let next = if indent.trim().is_empty() { format!("\n{indent}") } else { String::new() };
    Ok(format!("{before}{call}{next}{after}"))
}

/// Puts an item at the end of the last `vec![…]`.
fn insert_item(text: &str, item: &str) -> anyhow::Result<String> {
    let (before, after) = text.rfind(']').map(|end| text.split_at(end)).context("a list without an end")?;
    let known = before.trim_end();
    let comma = if known.ends_with('[') { "" } else { ", " };
    Ok(format!("{}{comma}{item}{after}", known.trim_end_matches(',')))
}

const MIGRATION: &str = r#"//! What this changes, and why.

use sea_orm_migration::{prelude::*, schema::*};

use {columns}::columns::{drop_tables, id, table, timestamp};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let new = table(manager, "{name}")
            .col(id("id"))
            .col(string_len("name", 200))
            .col(timestamp(manager, "created_at"))
            .to_owned();
        manager.create_table(new).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["{name}"]).await
    }
}
"#;

const PLUGIN_LIST: &str = r#"//! The tables of the plugin {plugin}, in the databases of companies that have it.

use tenantry_migration::{MigrationError, MigrationSet, SetBuilder};

pub(super) fn set() -> Result<MigrationSet, MigrationError> {
    SetBuilder::new("plugin_{plugin}")
        .about("What the plugin {plugin} is for, in a sentence.")
        .build()
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    /// The migrator's tests compile what is in `after`.
    const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../services/migrator/tests/made");

    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            let to = to.join(entry.file_name());
            if entry.path().is_dir() { copy(&entry.path(), &to) } else { drop(std::fs::copy(entry.path(), to)) }
        }
    }

    fn files(folder: &Path) -> std::collections::BTreeMap<PathBuf, String> {
        let mut found = std::collections::BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.file_name() != Some("columns.rs".as_ref()) {
                    let name = path.strip_prefix(folder).expect("below it").to_owned();
                    found.insert(name, std::fs::read_to_string(path).expect("text"));
                }
            }
        }
        found
    }

    fn migration(path: &Path, name: &str) -> Migration {
        let name = name.to_owned();
        Migration { name, tenant: false, central: false, both: false, plugin: None, path: path.to_owned() }
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // The fixtures are written anew by TENANTRY_WRITE_FIXTURES=1.
    fn what_is_made_is_what_the_migrator_compiles_in_its_tests() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        copy(&Path::new(FIXTURES).join("before"), path);
        std::fs::write(path.join("columns.rs"), "").expect("a file");
        let at = |second: i64| DateTime::from_timestamp(1_767_268_800 + second, 0).expect("a time");
        let plugin = || Some("metering".to_owned());
        Migration { tenant: true, ..migration(path, "invoices") }.write(at(0)).expect("a tenant's");
        Migration { central: true, ..migration(path, "regions") }.write(at(1)).expect("central");
        Migration { both: true, ..migration(path, "notes") }.write(at(2)).expect("both");
        Migration { plugin: plugin(), ..migration(path, "meters") }.write(at(3)).expect("a new plugin's");
        Migration { plugin: plugin(), ..migration(path, "readings") }.write(at(4)).expect("the same plugin's");
        let after = Path::new(FIXTURES).join("after");
        if std::env::var_os("TENANTRY_WRITE_FIXTURES").is_some() {
            let _ = std::fs::remove_dir_all(&after);
            std::fs::remove_file(path.join("columns.rs")).expect("removed");
            copy(path, &after);
        }
        assert_eq!(files(path), files(&after));
    }

    #[test]
    fn what_is_no_name_or_no_folder_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["Robert'); DROP", "", "Über", "1st"] {
            let refused = Migration { tenant: true, ..migration(folder.path(), name) }.write(DateTime::UNIX_EPOCH);
            assert!(refused.expect_err("a refusal").to_string().contains("snake case"), "{name}");
        }
        let elsewhere = Migration { tenant: true, ..migration(folder.path(), "fine") }.write(DateTime::UNIX_EPOCH);
        assert!(elsewhere.expect_err("a refusal").to_string().contains("--path"));
    }
}

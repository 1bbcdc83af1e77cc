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
            let text = insert(&read(&all)?, "mod ", &format!("mod {plugin};"), "pub(super) fn")?;
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
    let text = insert(&read(&file)?, "mod ", &format!("mod {module};"), "pub(super) fn")?;
    let text = match list {
        List::Set => insert(&text, "        .add(", &format!("        .add({module}::Migration)"), "        .build()")?,
        List::Both => insert_item(&text, &format!("{module}::Migration.into()"))?,
    };
    std::fs::write(&file, text)?;
    Ok(file)
}

/// Puts a line behind the last one that begins so, or before `otherwise` where there is none.
fn insert(text: &str, beside: &str, line: &str, otherwise: &str) -> anyhow::Result<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let last = lines.iter().rposition(|known| !beside.is_empty() && known.starts_with(beside));
    let at = match last {
        Some(last) => last + 1,
        None => lines
            .iter()
            .position(|known| known.starts_with(otherwise))
            .with_context(|| format!("no place for {line:?}: the list does not look as it should"))?,
    };
    lines.insert(at, line);
    Ok(lines.join("\n") + "\n")
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
        .build()
}
"#;

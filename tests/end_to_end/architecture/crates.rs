//! Which crate may know which: Cargo.toml says what a layer may know.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{Breach, hold, root};

/// Some of our crates.
enum Who {
    /// All of them.
    Any,
    /// The ones in this folder.
    In(&'static str),
    Crate(&'static str),
}

/// Arrows that must not be, whatever they are for: a test that needs one belongs into `tests/`.
const FORBIDDEN: &[(Who, Who, &str)] = &[
    (Who::In("services"), Who::In("services"), "services know each other's contract, never each other"),
    (Who::In("services"), Who::Crate("tenantry"), "a service does not know who runs it"),
    (Who::In("shared"), Who::In("services"), "what is shared serves every service alike"),
    (Who::In("shared"), Who::Crate("tenantry"), "what is shared serves every service alike"),
    (Who::Crate("catalog"), Who::Crate("tenantry-tenancy"), "the catalog never opens a tenant's database"),
    (Who::Crate("catalog"), Who::Crate("tenantry-migration"), "no service migrates by accident"),
    (Who::Crate("crm"), Who::Crate("tenantry-migration"), "no service migrates by accident"),
    (Who::Crate("crm"), Who::Crate("tenantry-store"), "the crm has no database of its own"),
    (Who::Crate("notes"), Who::In("services"), "a service beside ours needs nothing but what is shared"),
    (Who::Crate("notes"), Who::Crate("tenantry-migration"), "no service migrates by accident"),
    (Who::In("services"), Who::In("examples"), "nothing is built on an example"),
    (Who::In("shared"), Who::In("examples"), "nothing is built on an example"),
    (Who::In("deploy"), Who::In("examples"), "nothing is built on an example"),
    (Who::Crate("tenantry-api"), Who::Any, "the contract stands alone"),
    (Who::Crate("tenantry-ids"), Who::Any, "ids stand alone"),
    (Who::Any, Who::Crate("tenantry-tests"), "nothing is built on the tests"),
    (Who::Any, Who::Crate("xtask"), "nothing is built on the tasks"),
];

/// `from -> to`.
const EXEMPT: &[&str] = &[
    // It compiles the protos, and is in nothing that comes of them.
    "tenantry-api -> tenantry-build",
    // Behind a feature that [`sandbox_is_behind_its_feature`] looks at.
    "tenantry-testkit -> tenantry",
];

#[test]
fn crates_know_only_whom_they_may() -> anyhow::Result<()> {
    let crates = crates()?;
    let mut breaches = Vec::new();
    for from in &crates {
        for to in from.knows.iter().filter_map(|name| crates.iter().find(|other| other.name == *name)) {
            for (who, whom, why) in FORBIDDEN {
                if who.is(from) && whom.is(to) {
                    breaches.push(Breach::new(format!("{} -> {}", from.name, to.name), *why));
                }
            }
        }
    }
    hold("Crates know only whom they may.", breaches, EXEMPT);
    Ok(())
}

/// The tables above are about crates that are there.
#[test]
fn every_crate_of_the_table_is_there() -> anyhow::Result<()> {
    let crates = crates()?;
    for who in FORBIDDEN.iter().flat_map(|(who, whom, _)| [who, whom]) {
        ensure!(crates.iter().any(|one| who.is(one)), "the table of arrows names a crate or a folder that is gone");
    }
    Ok(())
}

/// `cargo xtask` builds the testkit without any service.
#[test]
fn sandbox_is_behind_its_feature() -> anyhow::Result<()> {
    let metadata = metadata()?;
    let packages = metadata["packages"].as_array().context("packages")?;
    let testkit = packages.iter().find(|package| package["name"] == "tenantry-testkit").context("the testkit")?;
    let ours = testkit["dependencies"].as_array().context("dependencies")?;
    for dependency in ours.iter().filter(|dependency| dependency["path"].is_string()) {
        let name = dependency["name"].as_str().context("a name")?;
        ensure!(dependency["optional"] == true, "the testkit always depends on {name}; make it optional");
        let features = testkit["features"].as_object().context("features")?;
        let (own, plain) = (Value::from(format!("dep:{name}")), Value::from(name));
        let brings = |list: &Value| list.as_array().is_some_and(|list| list.contains(&own) || list.contains(&plain));
        let with: Vec<_> = features.iter().filter(|(_, list)| brings(list)).map(|(feature, _)| feature).collect();
        ensure!(with == ["sandbox"], "{name} comes with {with:?}; only `sandbox` may bring it");
    }
    ensure!(testkit["features"]["default"] == serde_json::json!([]), "the testkit has features by default");
    Ok(())
}

struct Crate {
    name: String,
    folder: String,
    /// Ours that it depends on, for whatever purpose.
    knows: Vec<String>,
}

impl Who {
    fn is(&self, one: &Crate) -> bool {
        match self {
            Self::Any => true,
            Self::In(folder) => one.folder == *folder,
            Self::Crate(name) => one.name == *name,
        }
    }
}

fn crates() -> anyhow::Result<Vec<Crate>> {
    let metadata = metadata()?;
    let root = metadata["workspace_root"].as_str().context("a root")?;
    let one = |package: &Value| {
        let manifest = Path::new(package["manifest_path"].as_str()?);
        let folder = manifest.strip_prefix(root).ok()?.components().next()?;
        let dependencies = package["dependencies"].as_array()?;
        let ours = dependencies.iter().filter(|dependency| dependency["path"].is_string());
        Some(Crate {
            name: package["name"].as_str()?.to_owned(),
            folder: folder.as_os_str().to_str()?.to_owned(),
            knows: ours.filter_map(|dependency| dependency["name"].as_str().map(str::to_owned)).collect(),
        })
    };
    let packages = metadata["packages"].as_array().context("packages")?;
    packages.iter().map(|package| one(package).with_context(|| format!("{} is odd", package["name"]))).collect()
}

fn metadata() -> anyhow::Result<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

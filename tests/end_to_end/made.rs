//! `tenantry make migration`, in a copy of the sources.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use tenantry_testkit::process::{program, run};

/// What is copied: everything that the workspace is built from.
const SOURCES: [&str; 8] =
    ["Cargo.toml", "Cargo.lock", "clippy.toml", "shared", "services", "deploy", "proto", "tests"];

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A copy below the target folder, always in the same place, so that only what has changed is compiled again.
fn copy() -> anyhow::Result<PathBuf> {
    let to = workspace().join("target/made-migrations");
    std::fs::create_dir_all(&to)?;
    for source in SOURCES.iter().chain(&["xtask", "rustfmt.toml"]) {
        let into = to.join(source);
        if into.is_dir() {
            std::fs::remove_dir_all(&into)?;
        }
        let copied = Command::new("cp").arg("-a").arg(workspace().join(source)).arg(&into).status()?;
        anyhow::ensure!(copied.success(), "{source} was not copied");
    }
    Ok(to)
}

async fn make(copy: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let mut tenantry = program("tenantry")?;
    tenantry.current_dir(copy).args(["make", "migration"]).args(arguments);
    run(tenantry).await?.success()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_made_migration_compiles_as_it_is_and_is_in_its_set() -> anyhow::Result<()> {
    let copy = copy()?;
    let mut made = Vec::new();
    for kind in [&["made_invoices", "--tenant"][..], &["made_regions", "--central"], &["made_notes", "--both"]] {
        let written = make(&copy, kind).await?;
        let file = written.lines().next().context("a file")?;
        let version = Path::new(file).file_stem().and_then(|stem| stem.to_str()).context("a version")?;
        made.push(version.to_owned());
    }
    // The second one finds the plugin there.
    for name in ["made_meters", "made_readings"] {
        let written = make(&copy, &[name, "--plugin", "metering"]).await?;
        assert!(written.contains("plugins/metering/mod.rs"), "{written}");
    }
    let twice = copy.join("services/migrator/migrations/tenant/mod.rs");
    assert!(std::fs::read_to_string(twice)?.contains(&format!(".add({}::Migration)", made[0])));

    for (set, module) in [("central", &made[1]), ("both", &made[2])] {
        let list = std::fs::read_to_string(copy.join(format!("services/migrator/migrations/{set}/mod.rs")))?;
        assert!(list.contains(&format!("{module}::Migration")), "{list}");
    }
    // Into the target folder that is there, where `check` touches no program that another test runs.
    let checked = Command::new(env!("CARGO"))
        .current_dir(&copy)
        .env("CARGO_TARGET_DIR", workspace().join("target"))
        .args(["check", "--offline", "--locked", "--workspace", "--all-targets", "--all-features"])
        .output()?;
    anyhow::ensure!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    Ok(())
}

#[tokio::test]
async fn what_is_no_name_or_no_folder_is_refused() -> anyhow::Result<()> {
    let mut tenantry = program("tenantry")?;
    tenantry.args(["make", "migration", "Robert'); DROP", "--tenant"]).current_dir(workspace());
    assert!(run(tenantry).await?.refusal()?.contains("snake case"));
    let mut tenantry = program("tenantry")?;
    tenantry.args(["make", "migration", "fine", "--tenant", "--path", "/"]).current_dir(workspace());
    assert!(run(tenantry).await?.refusal()?.contains("--path"));
    Ok(())
}

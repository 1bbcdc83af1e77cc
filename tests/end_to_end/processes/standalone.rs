//! The `tenantry` program.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use tenantry::Addresses;
use tenantry_testkit::process::{Process, program};
use tenantry_testkit::sandbox::Clients;

/// One that runs, and what it said at its start.
pub(crate) struct Standalone {
    pub(crate) process: Process,
    pub(crate) addresses: Addresses,
    pub(crate) data: PathBuf,
    pub(crate) credential_file: PathBuf,
    /// The commands to paste.
    pub(crate) commands: Vec<String>,
}

impl Standalone {
    /// The command that starts one with its data in `folder`; port 0 takes free ones.
    pub(crate) fn command(folder: &Path, port: u16) -> anyhow::Result<Command> {
        let mut command = program("tenantry")?;
        command.arg("--data").arg(folder.join("data")).args(["--port", &port.to_string()]);
        Ok(command)
    }

    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        Self::started(Self::command(folder, 0)?).await
    }

    /// Starts one and reads what it says.
    pub(crate) async fn started(command: Command) -> anyhow::Result<Self> {
        let mut process = Process::start(command)?;
        // The last line that a start prints.
        let welcome = process.says(|said| said.contains("Ctrl-C stops it.\n").then(|| said.to_owned())).await?;
        let (facts, commands) = welcome.split_once("Try it:\n").context("no commands to paste")?;
        let fact = |name: &str| {
            let value = facts.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' '));
            value.map(str::trim).with_context(|| format!("no {name} in {welcome:?}"))
        };
        let address = |name: &str| anyhow::Ok(fact(name)?.trim_start_matches("http://").parse::<SocketAddr>()?);
        Ok(Self {
            addresses: Addresses { catalog: address("catalog")?, migrator: address("migrator")?, crm: address("crm")? },
            data: fact("data")?.into(),
            credential_file: fact("operator")?.into(),
            commands: commands.lines().filter_map(|line| line.strip_prefix("  ").map(str::to_owned)).collect(),
            process,
        })
    }

    pub(crate) fn clients(&self) -> Clients {
        Clients::of(self.addresses)
    }
}

use std::path::PathBuf;

use tenantry_testkit::process::Process;
use tenantry_testkit::servers::free_in_a_row;

use crate::clients::{command, tool};
use crate::processes::{Deployment, serve};

/// Where the hook runs: its port, its folder and what it is given to read.
pub(crate) struct Place {
    pub(super) port: u16,
    folder: PathBuf,
    descriptors: PathBuf,
    trusted: PathBuf,
}

impl Place {
    /// In a deployment that is prepared.
    pub(crate) fn of(deployment: &Deployment) -> anyhow::Result<Self> {
        let (folder, descriptors) = (deployment.file("storage"), deployment.file("tenantry.binpb"));
        std::fs::create_dir(&folder)?;
        std::fs::write(&descriptors, tenantry_api::DESCRIPTORS)?;
        Ok(Self { port: free_in_a_row(1)?, folder, descriptors, trusted: deployment.file("services.json") })
    }

    /// As the catalog is told of it.
    pub(crate) fn configuration(&self) -> String {
        format!("storage=http://127.0.0.1:{}", self.port)
    }

    /// The hook, at work.
    pub(crate) async fn hook(&self) -> anyhow::Result<Process> {
        let mut hook = command(tool("TENANTRY_TEST_PYTHON")?);
        hook.arg("-B").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/storage_hook.py"));
        hook.arg(&self.descriptors).arg(&self.trusted).arg(&self.folder).arg(self.port.to_string());
        serve(hook).await
    }

    pub(super) fn behave(&self, how: &str) -> std::io::Result<()> {
        std::fs::write(self.folder.join("behaviour"), how)
    }

    pub(crate) fn folder_of(&self, company: &str) -> PathBuf {
        self.folder.join(company)
    }

    /// What the hook has done for a company.
    pub(crate) fn done_for(&self, company: &str) -> anyhow::Result<Vec<String>> {
        let log = std::fs::read_to_string(self.folder.join("log"))?;
        let of = |line: &str| line.split_once(' ').filter(|(_, id)| *id == company).map(|(done, _)| done.to_owned());
        Ok(log.lines().filter_map(of).collect())
    }
}

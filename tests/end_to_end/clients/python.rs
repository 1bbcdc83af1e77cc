//! Python's grpcio: `tests/clients/tour.py`.

use std::path::Path;
use std::process::Command;

use tenantry_testkit::process::run;
use tenantry_testkit::sandbox::Sandbox;

use super::{command, tool};
use crate::support::per_engine;

per_engine!(python_takes_the_tour);

async fn python_takes_the_tour(sandbox: &Sandbox) -> anyhow::Result<()> {
    let at = sandbox.addresses();
    let mut tour = tour()?;
    tour.args(["tour", &at.catalog.to_string(), &at.crm.to_string()]);
    took(tour).await
}

pub(crate) fn tour() -> anyhow::Result<Command> {
    script("tour.py")
}

/// A script of `tests/clients`.
pub(crate) fn script(name: &str) -> anyhow::Result<Command> {
    let mut python = command(tool("TENANTRY_TEST_PYTHON")?);
    // -B: leave no compiled files beside the script.
    python.arg("-B").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name));
    python.env("PYTHONIOENCODING", "utf-8");
    Ok(python)
}

async fn took(tour: Command) -> anyhow::Result<()> {
    let said = run(tour).await?.success()?;
    assert!(said.ends_with("the tour is over\n"), "{said}");
    Ok(())
}

mod waiting {
    //! What only happens while a service is away.

    mod sqlite {
        use super::super::{took, tour};
        use crate::processes::{Deployment, serve};

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn python_is_told_when_to_come_back() -> anyhow::Result<()> {
            let deployment = Deployment::on_files()?;
            deployment.prepare().await?;
            let catalog = serve(deployment.catalog()?).await?;
            let mut tour = tour()?;
            tour.args(["unavailable", &deployment.addresses.catalog.to_string()]);
            took(tour).await?;
            catalog.stop("TERM").await.map(drop)
        }
    }
}

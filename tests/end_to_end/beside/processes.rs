//! The programs of the example, set up as its README says.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use notes::v1::{ListNotesRequest, PutNoteRequest};
use tenantry_api::catalog::v1::ListPluginsRequest;
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Owner};
use tenantry_testkit::process::{program, run};
use tenantry_testkit::sandbox::Engine;
use tenantry_testkit::servers::free_in_a_row;

use super::{TENANT_SERVICES, at, id, install};
use crate::processes::{Deployment, eventually, serve};
use crate::support::reason;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_programs_work_beside_ours_on_postgres() -> anyhow::Result<()> {
    its_programs_work_beside_ours(Engine::Postgres).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_programs_work_beside_ours_on_mariadb() -> anyhow::Result<()> {
    its_programs_work_beside_ours(Engine::MariaDb).await
}

async fn its_programs_work_beside_ours(engine: Engine) -> anyhow::Result<()> {
    let deployment = Deployment::on(engine)?;
    deployment.prepare().await?;
    run(deployment.generate_key("notes")?).await?.success()?;
    let mut catalog = deployment.catalog()?;
    catalog.env("CATALOG_TENANT_SERVICES_FILE", TENANT_SERVICES);
    let catalog = serve(catalog).await?;
    let migrator = serve(like(&deployment.migrator()?, "notes-migrator")?).await?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_in_a_row(1)?));
    let notes = serve(deployment.tenant_service("notes", &address.to_string())?).await?;

    let (owner, other) = (
        Owner::of_new_company(deployment.clients(), "One").await?,
        Owner::of_new_company(deployment.clients(), "Other").await?,
    );
    eventually("the plugins", async || {
        let listed = deployment.clients().plugins()?.list_plugins(owner.request(ListPluginsRequest {})).await?;
        let names: Vec<_> = listed.into_inner().plugins.into_iter().map(|plugin| plugin.name).collect();
        Ok(["notes", "sms"].iter().all(|plugin| names.iter().any(|name| name == plugin)).then_some(()))
    })
    .await?;
    install(deployment.clients(), &owner).await?;
    let put = PutNoteRequest { id: id(1), text: "One".into() };
    let note = at(address)?.put_note(owner.request(put)).await?.into_inner();
    let list = |by: &Owner| by.request(ListNotesRequest::default());
    assert_eq!(at(address)?.list_notes(list(&owner)).await?.into_inner().notes, [note]);
    assert_eq!(reason(at(address)?.list_notes(list(&other)).await), Some(Reason::PluginNotInstalled));

    for process in [notes, migrator, catalog] {
        process.stop("TERM").await?;
    }
    deployment.remove().await
}

/// The same command of another program.
fn like(command: &Command, name: &str) -> anyhow::Result<Command> {
    let mut same = program(name)?;
    same.args(command.get_args());
    same.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ok(same)
}

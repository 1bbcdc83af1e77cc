//! One process, on files.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tenantry_testkit::actors::{Bearer, Operator, login};
use tenantry_testkit::process::{program, run};
use tenantry_testkit::servers::free_in_a_row;

use super::tour::Inhabited;
use super::{Deployment, Standalone, postgres};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_says_where_everything_is() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let standalone = Standalone::start(folder.path()).await?;
    assert_eq!(standalone.data, folder.path().canonicalize()?.join("data"));
    assert_eq!(standalone.credential_file, standalone.data.join("operator-credential"));
    assert_eq!(standalone.credential_file.metadata()?.permissions().mode() & 0o777, 0o600);
    assert_eq!(standalone.data.metadata()?.permissions().mode() & 0o777, 0o700);
    assert_eq!(standalone.commands.len(), 3, "{:?}", standalone.commands);

    let credential = std::fs::read_to_string(&standalone.credential_file)?.trim().to_owned();
    Operator::with_credential(standalone.clients(), credential).await?;
    let said = standalone.process.stop("INT").await?;
    assert!(said.ends_with("stopped\n"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_instance_on_the_folder_is_refused() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let standalone = Standalone::start(folder.path()).await?;
    let refusal = run(Standalone::command(folder.path(), 0)?).await?.refusal()?;
    let line = format!("error: another instance is running on {}", standalone.data.display());
    assert!(refusal.lines().any(|said| said.starts_with(&line)), "{refusal}");
    // The first one noticed nothing.
    Inhabited::new(standalone.clients(), "Undisturbed").await?;
    standalone.process.stop("TERM").await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_finds_everything_again_however_the_last_one_ended() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let standalone = Standalone::start(folder.path()).await?;
    let company = Inhabited::new(standalone.clients(), "Lasting").await?;
    let credential = std::fs::read_to_string(&standalone.credential_file)?;
    standalone.process.stop("INT").await?;

    let standalone = Standalone::start(folder.path()).await?;
    still_there(&standalone, &company).await?;
    standalone.process.stop("TERM").await?;

    let standalone = Standalone::start(folder.path()).await?;
    let second = Inhabited::new(standalone.clients(), "Written just before").await?;
    standalone.process.signal("KILL")?;
    assert!(!standalone.process.end().await?.status.success());

    let standalone = Standalone::start(folder.path()).await?;
    still_there(&standalone, &company).await?;
    still_there(&standalone, &second).await?;
    Inhabited::new(standalone.clients(), "After all that").await?;
    assert_eq!(std::fs::read_to_string(&standalone.credential_file)?, credential);
    standalone.process.stop("INT").await.map(drop)
}

async fn still_there(standalone: &Standalone, company: &Inhabited) -> anyhow::Result<()> {
    let token = login(standalone.clients(), &company.owner.email).await?;
    company.is_seen_by(standalone.clients(), &Bearer(token)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_runs_beside_an_instance_and_without_one() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let port = free_in_a_row(3)?;
    // Without one: it has its own, and leaves nothing.
    let said = demo(folder.path(), port).await?;
    assert!(said.contains("No instance runs on"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 0);

    let standalone = Standalone::started(Standalone::command(folder.path(), port)?).await?;
    assert_eq!(standalone.addresses.catalog.port(), port);
    for _ in ["once", "and again"] {
        let said = demo(folder.path(), port).await?;
        assert!(said.contains("the tour goes there"), "{said}");
    }
    standalone.process.stop("INT").await.map(drop)
}

async fn demo(folder: &Path, port: u16) -> anyhow::Result<String> {
    let mut command = program("tenantry")?;
    command.args(["demo", "--port", &port.to_string()]).env("TMPDIR", folder);
    let said = run(command).await?.success()?;
    assert!(said.ends_with("isolation holds.\n"), "{said}");
    Ok(said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_said_in_one_line() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let first = free_in_a_row(3)?;
    // The catalog's port is free; the migrator's is not.
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first + 1))?;
    let mut command = Standalone::command(folder.path(), first)?;
    command.env("TENANTRY_LOG", "off");
    let refusal = run(command).await?.refusal()?;
    let line = format!("error: cannot listen on {}: Address already in use (os error 98)\n", taken.local_addr()?);
    assert_eq!(refusal, line);
    Ok(())
}

/// SQLite is made for the one process; that three can share its files keeps the services honest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_do_the_whole_tour() -> anyhow::Result<()> {
    postgres::whole_tour(Deployment::on_files()?).await
}

//! The reconciler against real processes: what cannot be seen is not taken to be gone, and a kill in the middle of a
//! repair leaves nothing that the next one does not mend.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};
use tenantry_api::migrator::v1::{DatabaseOnServer, FindingKind, RepairRequest, SurveyRequest};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor as _, Owner};
use tenantry_testkit::process::Process;
use tenantry_testkit::sandbox::{Engine, OnServer};
use tenantry_testkit::servers::{PostgresServer, ServerOptions};

use super::operator::{Console, code};
use super::{Deployment, eventually, serve};
use crate::migrations::database_of_at;
use crate::support::reason;

/// A name as the migrator gives it, of nobody's.
fn of_nobody(server: &OnServer, digit: u8) -> String {
    format!("{}0000000000000000000000000{digit}", server.prefix())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_away_is_not_taken_to_be_gone() -> anyhow::Result<()> {
    let mut own = tokio::task::spawn_blocking(|| PostgresServer::start(ServerOptions::default())).await??;
    let server = OnServer::at(&own.admin_url())?;
    let deployment = Deployment::on(Engine::Postgres)?.with_companies_on(server.clone());
    deployment.prepare().await?;
    let catalog = serve(deployment.catalog()?).await?;
    let migrator = serve(deployment.migrator()?).await?;
    let console = Console { deployment: &deployment, migrator: deployment.addresses.migrator };
    let owner = Owner::of_new_company(deployment.clients(), "Away").await?;
    assert_eq!(code(&console.say(&["reconcile", "--min-age-s", "0"]).await?), Some(0));

    let (orphan, role) = (of_nobody(&server, 1), of_nobody(&server, 2));
    server.run(&format!("CREATE DATABASE {orphan}")).await?;
    server.run(&format!("CREATE ROLE {role}")).await?;
    let found = console.say(&["reconcile"]).await?;
    assert_eq!(code(&found), Some(7), "{found:?}");
    assert!(found.stdout.contains("database_without_company") && found.stdout.contains(&role), "{found:?}");
    let plan = console.say(&["reconcile", "--repair", "--dry-run"]).await?;
    assert!(code(&plan) == Some(7) && plan.stdout.contains("would drop_role"), "{plan:?}");
    let mended = console.ask(&["reconcile", "--repair", "--kind", "role-without-database"]).await?;
    assert_eq!((&mended["finding_count"], &mended["findings"][0]["state"]), (&2.into(), &"REPAIR_STATE_DONE".into()));
    let by_name = format!("main/{orphan}");
    assert_eq!(code(&console.say(&["reconcile", "--drop", &by_name]).await?), Some(1), "not without --force");
    assert_eq!(code(&console.say(&["reconcile", "--drop", &orphan, "--force"]).await?), Some(1), "on which server?");

    // The server is away.
    let mut own = tokio::task::spawn_blocking(move || own.stop_keeping_data().map(|()| own)).await??;
    assert_eq!(code(&console.say(&["reconcile", "--repair"]).await?), Some(6));
    let found = console.ask(&["reconcile"]).await?;
    assert_eq!(
        (&found["finding_count"], &found["findings"][0]["kind"]),
        (&1.into(), &"FINDING_KIND_SERVER_UNREACHABLE".into())
    );
    assert_eq!(code(&console.say(&["reconcile", "--drop", &by_name, "--force"]).await?), Some(6));
    let own = tokio::task::spawn_blocking(move || own.restart().map(|()| own)).await??;

    // The catalog is away: whose a database is, nobody can say.
    let operator = deployment.operator().await?;
    let mut client = deployment.clients().reconciliation()?;
    client.survey(operator.request(SurveyRequest::default())).await?;
    catalog.stop("TERM").await?;
    let blind = client.survey(operator.request(SurveyRequest::default())).await?.into_inner();
    let kinds: Vec<_> = blind.findings.iter().map(|finding| finding.kind()).collect();
    assert_eq!(kinds, [FindingKind::CatalogUnreachable]);
    let named = DatabaseOnServer { server: "main".to_owned(), name: orphan.clone() };
    let drop = RepairRequest { drop_databases: vec![named], force: true, ..Default::default() };
    assert_eq!(reason(client.repair(operator.request(drop)).await), Some(Reason::CatalogUnavailable));
    assert!(server.tenant_databases().await?.contains(&orphan));

    let catalog = serve(deployment.catalog()?).await?;
    assert_eq!(code(&console.say(&["reconcile", "--drop", &by_name, "--force"]).await?), Some(0));
    let name = database_of_at(deployment.clients(), &deployment.operator().await?, &owner.company.id).await?;
    assert_eq!(server.tenant_databases().await?, [name]);
    for process in [catalog, migrator] {
        process.stop("TERM").await?;
    }
    tokio::task::spawn_blocking(|| own.stop()).await??;
    deployment.remove().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_that_is_killed_is_finished_by_the_next() -> anyhow::Result<()> {
    let deployment = Deployment::on(Engine::Postgres)?;
    deployment.prepare().await?;
    let server = deployment.control().expect("a server").clone();
    let catalog = serve(deployment.catalog()?).await?;
    let first = serve(deployment.migrator()?).await?;
    let operator = deployment.operator().await?;
    let roles: Vec<_> = (1..=3).map(|digit| of_nobody(&server, digit)).collect();
    for role in &roles {
        server.run(&format!("CREATE ROLE {role}")).await?;
    }

    // Somebody has the lock of the second one, so that the kill comes in the middle.
    let mut holder = PgConnection::connect(&server.admin_url()).await?;
    let lock = format!("SELECT pg_advisory_lock(hashtextextended('tenantry:{}', 0))", roles[1]);
    holder.execute(AssertSqlSafe(lock)).await?;
    let mut client = deployment.clients().reconciliation()?;
    let request = operator.request(RepairRequest::default());
    let call = tokio::spawn(async move { client.repair(request).await });
    eventually("the first role gone", async || Ok((!server.roles().await?.contains(&roles[0])).then_some(()))).await?;
    eventually("the second one under way", async || {
        Ok((runs(&server, "running").await? == [roles[1].clone()]).then_some(()))
    })
    .await?;
    kill(first)?;
    assert!(call.await?.is_err());
    holder.close().await?;
    assert!(server.roles().await?.contains(&roles[1]));

    let second = serve(deployment.migrator()?).await?;
    let console = Console { deployment: &deployment, migrator: deployment.addresses.migrator };
    let repaired = console.say(&["reconcile", "--repair"]).await?;
    assert_eq!(code(&repaired), Some(0), "{repaired:?}");
    assert_eq!(code(&console.say(&["reconcile"]).await?), Some(0));
    assert!(server.roles().await?.iter().all(|role| !roles.contains(role)));
    assert_eq!(runs(&server, "running").await?, [roles[1].clone()], "what was cut short stays on record");
    assert_eq!(runs(&server, "done").await?, roles);
    for process in [second, catalog] {
        process.stop("TERM").await?;
    }
    deployment.remove().await
}

fn kill(process: Process) -> anyhow::Result<()> {
    process.signal("KILL")?;
    drop(process);
    Ok(())
}

/// The names in the reconciler's rows in this state.
async fn runs(server: &OnServer, state: &str) -> anyhow::Result<Vec<String>> {
    let mut own = PgConnection::connect(&server.url_of(&server.migrators())).await?;
    let query = "SELECT database_name FROM runs WHERE kind = 'reconcile' AND state = $1 ORDER BY database_name";
    let rows = sqlx::query(query).bind(state).fetch_all(&mut own).await?;
    own.close().await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

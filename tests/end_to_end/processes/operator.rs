//! The operator's command line against real processes, and a migrator that is killed in the middle of a rollout.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _, Row as _};
use tenantry_testkit::actors::Owner;
use tenantry_testkit::process::{Ended, program, run};
use tenantry_testkit::sandbox::Engine;
use tenantry_testkit::servers::free_in_a_row;

use super::{Deployment, eventually, serve};
use crate::migrations::{BEFORE, HEAD, another_company, database_of_at};

/// `tenantry` as an operator of the deployment.
pub(super) struct Console<'d> {
    pub(super) deployment: &'d Deployment,
    pub(super) migrator: SocketAddr,
}

impl Console<'_> {
    fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = program("tenantry")?;
        command.args(arguments);
        command.args(["--catalog-address", &format!("http://{}", self.deployment.addresses.catalog)]);
        command.args(["--migrator-address", &format!("http://{}", self.migrator)]);
        command.arg("--credential-file").arg(self.deployment.file("operator-credential"));
        Ok(command)
    }

    pub(super) async fn say(&self, arguments: &[&str]) -> anyhow::Result<Ended> {
        run(self.command(arguments)?).await
    }

    /// With `--json`, from an answer of one document.
    pub(super) async fn ask(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let said = self.say(&[arguments, &["--json"]].concat()).await?;
        Ok(serde_json::from_str(said.stdout.trim())?)
    }
}

pub(super) fn code(ended: &Ended) -> Option<i32> {
    ended.status.code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_say_by_their_exit_code_how_they_ended() -> anyhow::Result<()> {
    let deployment = Deployment::on_files()?;
    deployment.prepare().await?;
    let catalog = serve(deployment.catalog()?).await?;
    let migrator = serve(deployment.migrator()?).await?;
    let console = Console { deployment: &deployment, migrator: deployment.addresses.migrator };

    let none = console.say(&["migrate-tenants"]).await?;
    assert_eq!(code(&none), Some(4), "{none:?}");
    assert!(none.stderr.contains("NO_TARGETS"), "{none:?}");
    let owner = Owner::of_new_company(deployment.clients(), "Console One").await?;

    // By slug and by id.
    assert_eq!(console.ask(&["status", "console-one"]).await?["version"], HEAD);
    assert_eq!(code(&console.say(&["rollback", &owner.company.id]).await?), Some(1), "production wants --force");
    // The last run made the whole database; a step is enough.
    console.say(&["rollback", "console-one", "--steps", "1", "--force"]).await?.success()?;
    assert_eq!(code(&console.say(&["status", "console-one"]).await?), Some(7), "something is pending");
    assert_eq!(code(&console.say(&["status"]).await?), Some(7));
    let plan = console.say(&["plan", "console-one"]).await?.success()?;
    assert!(plan.contains("CREATE TABLE"), "{plan}");
    console.say(&["plan", "console-one", "--dry-run"]).await?.success()?;
    let dry = console.say(&["migrate-tenants", "--dry-run"]).await?.success()?;
    assert!(dry.contains("1 databases") && dry.contains("CREATE TABLE"), "{dry}");
    console.say(&["migrate-tenant", "console-one", "--force"]).await?.success()?;
    assert_eq!(code(&console.say(&["status"]).await?), Some(0));
    assert_eq!(code(&console.say(&["drift", "console-one"]).await?), Some(0));
    console.say(&["seed", "console-one"]).await?.success()?;

    // A fleet of one goes back, is sabotaged, and fails in part.
    console.say(&["migrate-tenants", "--to", BEFORE, "--allow-rollback"]).await?.success()?;
    let name = database_of_at(deployment.clients(), &deployment.operator().await?, &owner.company.id).await?;
    let file = deployment.file("tenants").join(format!("{name}.db"));
    let by_hand = |sql: &'static str| {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&file);
        async move {
            let mut admin = sqlx::sqlite::SqliteConnection::connect_with(&options).await?;
            admin.execute(sql).await?;
            anyhow::Ok(admin.close().await?)
        }
    };
    by_hand("CREATE TABLE person_tokens (id int)").await?;
    let partly = console.say(&["migrate-tenants"]).await?;
    assert_eq!(code(&partly), Some(3), "{partly:?}");
    assert!(partly.stdout.contains("MIGRATION_FAILED") && partly.stdout.contains("already exists"), "{partly:?}");
    let halted = console.say(&["migrate-tenants", "--max-failures", "0"]).await?;
    assert_eq!(code(&halted), Some(5), "{halted:?}");
    assert_eq!(code(&console.say(&["rollout", "show"]).await?), Some(5));
    by_hand("DROP TABLE person_tokens").await?;
    console.say(&["rollout", "retry"]).await?.success()?;
    assert_eq!(console.ask(&["rollout", "show"]).await?["state"], "ROLLOUT_STATE_SUCCEEDED");
    assert!(console.say(&["rollout", "list"]).await?.success()?.lines().count() == 3);
    assert!(console.say(&["companies"]).await?.success()?.contains("console-one"));

    assert!(console.say(&["servers", "list"]).await?.success()?.contains("OPEN"));
    let changed = ["servers", "update", "main", "--state", "draining", "--max-databases", "5", "--region", "eu"];
    let changed = console.ask(&changed).await?;
    assert_eq!((&changed["state"], &changed["databases"]), (&"DATABASE_SERVER_STATE_DRAINING".into(), &"1".into()));
    assert_eq!(console.ask(&["servers", "list", "--region", "eu"]).await?["max_databases"], 5);
    console.say(&["servers", "register", "other", "sqlite:/nowhere", "--state", "closed"]).await?.success()?;
    let open = console.say(&["servers", "list", "--state", "open"]).await?.success()?;
    assert_eq!(open.lines().count(), 1, "{open}");
    assert_eq!(code(&console.say(&["servers", "update", "main", "--etag", "1", "--state", "open"]).await?), Some(1));
    assert_eq!(code(&console.say(&["servers", "update", "main"]).await?), Some(2), "nothing to change");

    assert_eq!(code(&console.say(&["status", "nobody-here"]).await?), Some(1));
    let clap = console.say(&["rollback"]).await?;
    assert_eq!(code(&clap), Some(2), "{clap:?}");
    let elsewhere = Console { deployment: &deployment, migrator: "127.0.0.1:1".parse()? };
    assert_eq!(code(&elsewhere.say(&["status"]).await?), Some(6));
    assert!(console.say(&["completions", "bash"]).await?.success()?.contains("migrate-tenants"));

    migrator.stop("TERM").await?;
    catalog.stop("TERM").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_goes_on_where_a_killed_migrator_stopped() -> anyhow::Result<()> {
    const COMPANIES: usize = 6;
    let deployment = Deployment::on(Engine::Postgres)?;
    deployment.prepare().await?;
    let catalog = serve(deployment.catalog()?).await?;
    let mut first = deployment.migrator()?;
    first.env("MIGRATOR_ROLLOUT_LEASE_MS", "1000");
    let first = serve(first).await?;
    let operator = deployment.operator().await?;
    let owner = Owner::of_new_company(deployment.clients(), "Killed 0").await?;
    let mut names = vec![database_of_at(deployment.clients(), &operator, &owner.company.id).await?];
    for n in 1..COMPANIES {
        let id = another_company(deployment.clients(), &operator, &owner, &format!("Killed {n}")).await?;
        names.push(database_of_at(deployment.clients(), &operator, &id).await?);
    }

    // Somebody reads a table in the middle one, so that its migration waits and the kill finds it under way.
    let server = deployment.control().expect("a server");
    let mut reader = PgConnection::connect(&server.url_of(&names[COMPANIES / 2])).await?;
    reader.execute("BEGIN").await?;
    reader.execute("LOCK TABLE person_tokens IN ACCESS SHARE MODE").await?;

    let console = Console { deployment: &deployment, migrator: deployment.addresses.migrator };
    let started = ["migrate-tenants", "--to", BEFORE, "--allow-rollback", "--parallel", "1", "--no-wait"];
    console.say(&started).await?.success()?;
    eventually("the middle target under way", async || {
        let seen = console.ask(&["rollout", "show"]).await?;
        let counts = &seen["counts"];
        Ok((counts["succeeded"] == COMPANIES / 2 && counts["running"] == 1).then_some(()))
    })
    .await?;
    first.signal("KILL")?;
    drop(first);
    reader.execute("COMMIT").await?;
    reader.close().await?;

    let address = SocketAddr::from(([127, 0, 0, 1], free_in_a_row(1)?));
    let mut second = deployment.migrator()?;
    second.env("TENANTRY_LISTEN", address.to_string()).env("MIGRATOR_ROLLOUT_LEASE_MS", "1000");
    let second = serve(second).await?;
    let console = Console { deployment: &deployment, migrator: address };
    console.say(&["rollout", "watch"]).await?.success()?;

    // Counted from the databases themselves.
    let mut runs = std::collections::HashSet::new();
    for name in &names {
        let mut admin = PgConnection::connect(&server.url_of(name)).await?;
        let newest = "SELECT max(version), count(*) FROM tenantry_migrations WHERE \"set\" = 'tenant'";
        let row = sqlx::query(newest).fetch_one(&mut admin).await?;
        assert_eq!(row.try_get::<String, _>(0)?, BEFORE, "{name}");
        runs.insert(row.try_get::<i64, _>(1)?);
        admin.close().await?;
    }
    assert_eq!(runs.len(), 1, "nothing ran twice or was left out");
    let seen = console.ask(&["rollout", "show"]).await?;
    assert_eq!(seen["counts"]["succeeded"], COMPANIES);

    // Everybody forth again, and back exactly what that did.
    console.say(&["migrate-tenants", "--canary", "1", "--parallel", "2"]).await?.success()?;
    console.say(&["rollout", "rollback"]).await?.success()?;
    assert_eq!(console.ask(&["status"]).await?["behind"], COMPANIES);

    second.stop("TERM").await?;
    catalog.stop("TERM").await?;
    deployment.remove().await
}

//! `deploy/compose` is what it says: its variables are our programs' flags, and our programs work with them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use tenantry::Addresses;
use tenantry_testkit::process::{Process, program, run};
use tenantry_testkit::sandbox::{Clients, Engine, OnServer};
use tenantry_testkit::servers::free_in_a_row;

use crate::processes::{Inhabited, eventually, serve};

/// What the images are called; the rest of the name is the program.
const OURS: &str = "tenantry/";

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
    secrets: BTreeMap<String, Secret>,
}

#[derive(Deserialize)]
struct Secret {
    file: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Service {
    image: String,
    command: Vec<String>,
    environment: BTreeMap<String, String>,
    secrets: Vec<String>,
    volumes: Vec<String>,
    ports: Vec<String>,
    depends_on: DependsOn,
    read_only: bool,
    cap_drop: Vec<String>,
    security_opt: Vec<String>,
    healthcheck: Option<HealthCheck>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum DependsOn {
    Names(Vec<String>),
    Conditions(BTreeMap<String, Condition>),
}

impl Default for DependsOn {
    fn default() -> Self {
        Self::Names(Vec::new())
    }
}

impl DependsOn {
    /// On whom, and until what.
    fn conditions(&self) -> Vec<(&str, &str)> {
        match self {
            Self::Names(names) => names.iter().map(|name| (name.as_str(), "service_started")).collect(),
            Self::Conditions(conditions) => {
                conditions.iter().map(|(name, until)| (name.as_str(), until.condition.as_str())).collect()
            }
        }
    }
}

#[derive(Deserialize)]
struct Condition {
    condition: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct HealthCheck {
    disable: bool,
    test: Vec<String>,
}

impl Service {
    /// The program of an image of ours.
    fn program(&self) -> Option<&str> {
        self.image.strip_prefix(OURS)?.split(':').next()
    }

    /// The container's command, or another of the same program, with its environment.
    fn command(&self, words: &[String], world: &World) -> anyhow::Result<Command> {
        let mut command = program(self.program().context("not ours")?)?;
        command.args(words);
        for (name, value) in &self.environment {
            command.env(name, world.value(value)?);
        }
        Ok(command)
    }

    /// What tells whether it is healthy.
    fn health(&self, world: &World) -> anyhow::Result<Command> {
        let words = self.healthcheck.as_ref().map(|check| check.test.as_slice());
        let [kind, path, words @ ..] = words.unwrap_or_default() else { anyhow::bail!("no health check") };
        let named = Path::new(path).file_name().and_then(|name| name.to_str());
        ensure!(kind == "CMD" && named == self.program(), "{kind} {path} is not the program");
        self.command(words, world)
    }

    async fn is_healthy(&self, world: &World) -> anyhow::Result<()> {
        eventually("health", async || Ok(run(self.health(world)?).await?.status.success().then_some(()))).await
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/compose")
}

fn compose() -> anyhow::Result<Compose> {
    Ok(serde_saphyr::from_str(&std::fs::read_to_string(folder().join("compose.yaml"))?)?)
}

fn ours(compose: &Compose) -> impl Iterator<Item = (&String, &Service)> {
    compose.services.iter().filter(|(_, service)| service.program().is_some())
}

#[tokio::test]
async fn every_variable_of_ours_is_a_flag_of_its_program() -> anyhow::Result<()> {
    let compose = compose()?;
    let programs: BTreeSet<_> = ours(&compose).filter_map(|(_, service)| service.program()).collect();
    assert_eq!(Vec::from_iter(programs), ["catalog", "crm", "migrator"]);
    for (name, service) in ours(&compose) {
        let known = variables(service.program().context("ours")?, &service.command).await?;
        for variable in service.environment.keys() {
            ensure!(known.contains(variable), "{name}: {variable} is nothing that {:?} knows", service.command);
        }
    }
    Ok(())
}

/// What a command of a program reads from its environment, by its help.
pub(crate) async fn variables(name: &str, words: &[String]) -> anyhow::Result<BTreeSet<String>> {
    let mut command = program(name)?;
    command.args(words).arg("--help");
    let help = run(command).await?.success()?;
    // A line may end anywhere between two words.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let named = help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next());
    Ok(named.map(str::to_owned).collect())
}

#[test]
fn everything_it_names_is_there_and_no_more_is_open_than_has_to_be() -> anyhow::Result<()> {
    let compose = compose()?;
    for (name, service) in &compose.services {
        let tag = service.image.split_once(':').map(|(_, tag)| tag);
        ensure!(
            tag.is_some_and(|tag| tag.starts_with(|first: char| first.is_numeric() || first == 'v')),
            "{name}: {tag:?}"
        );
        ensure!(service.security_opt == ["no-new-privileges:true"], "{name} may have new privileges");
        ensure!(service.ports.iter().all(|port| port.starts_with("127.0.0.1:")), "{name} is open to the network");
        for path in service.volumes.iter().filter(|volume| volume.starts_with('.')) {
            let path = folder().join(path.split(':').next().unwrap_or_default());
            ensure!(path.exists(), "{name} mounts {}, which is not there", path.display());
        }
        for secret in &service.secrets {
            ensure!(compose.secrets.contains_key(secret), "{name}: there is no secret {secret}");
        }
        for (variable, value) in &service.environment {
            let secret = ["PASSWORD", "DATABASE_URL", "ENCRYPTION_KEY"].iter().any(|word| variable.ends_with(word));
            ensure!(!secret || value.contains(":?run prepare.sh first}"), "{name}: {variable} is in the tree");
        }
        for (other, condition) in service.depends_on.conditions() {
            let found = compose.services.get(other).with_context(|| format!("{name} depends on nothing: {other}"))?;
            let check = found.healthcheck.as_ref().is_some_and(|check| !check.disable && !check.test.is_empty());
            ensure!(
                condition != "service_healthy" || check,
                "{name} waits for {other}'s health, which nobody looks at"
            );
        }
    }
    for (name, service) in ours(&compose) {
        ensure!(service.read_only && service.cap_drop == ["ALL"], "{name} can do more than it needs to");
        ensure!(service.healthcheck.is_some(), "{name}: is it healthy?");
    }
    Ok(())
}

/// What a container's environment means outside of containers: passwords that are made, servers and ports of the test's.
struct World {
    folder: tempfile::TempDir,
    made: BTreeMap<String, String>,
    secrets: BTreeMap<String, PathBuf>,
    /// What is written in the file, and what is there instead.
    instead: Vec<(String, String)>,
    addresses: Addresses,
    servers: OnServer,
}

impl World {
    /// After `prepare.sh`, in a folder of its own.
    async fn prepare(compose: &Compose) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let script = folder.path().join("prepare.sh");
        std::fs::copy(self::folder().join("prepare.sh"), &script)?;
        run(Command::new(&script)).await?.success()?;
        let made = std::fs::read_to_string(folder.path().join(".env"))?;
        // A second time changes nothing.
        run(Command::new(&script)).await?.success()?;
        ensure!(made == std::fs::read_to_string(folder.path().join(".env"))?, "it was made anew");

        let secrets = compose.secrets.iter().map(|(name, secret)| (name.clone(), folder.path().join(&secret.file)));
        let made = made.lines().filter_map(|line| line.split_once('='));
        let made: BTreeMap<_, _> = made.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let first = free_in_a_row(4)?;
        let at = |offset| SocketAddr::from((Ipv4Addr::LOCALHOST, first + offset));
        let addresses = Addresses { catalog: at(0), migrator: at(1), crm: at(2) };
        let servers = OnServer::of_all()?.context("both servers")?;
        let password = made.get("TENANTRY_DATABASE_PASSWORD").context("a password")?;
        let instead = instead(password, addresses, at(3), &servers)?;
        Ok(Self { secrets: secrets.collect(), folder, made, instead, addresses, servers })
    }

    /// A variable's value.
    fn value(&self, written: &str) -> anyhow::Result<String> {
        if let Some(secret) = written.strip_prefix("/run/secrets/") {
            let path = self.secrets.get(secret).with_context(|| format!("there is no secret {secret}"))?;
            return Ok(path.display().to_string());
        }
        let mut value = written.to_owned();
        while let Some((before, rest)) = value.split_once("${") {
            let (reference, after) = rest.split_once('}').context("a reference without an end")?;
            let name = reference.split(":?").next().unwrap_or_default();
            let made = self.made.get(name).with_context(|| format!("prepare.sh makes no {name}"))?;
            value = format!("{before}{made}{after}");
        }
        for (there, here) in &self.instead {
            value = value.replace(there, here);
        }
        let container = ["@postgres", "@mariadb", "0.0.0.0", "//catalog", "//migrator", "otel-collector"];
        ensure!(!container.iter().any(|host| value.contains(host)), "{value} is nowhere outside of containers");
        Ok(value)
    }

    async fn end(self) -> anyhow::Result<()> {
        self.folder.close()?;
        self.servers.drop_all().await
    }
}

fn instead(
    password: &str,
    at: Addresses,
    nobody: SocketAddr,
    postgres: &OnServer,
) -> anyhow::Result<Vec<(String, String)>> {
    let mariadb = OnServer::of_suite(Engine::MariaDb)?.context("MariaDB")?;
    let pg = |database: &str| format!("postgres://tenantry:{password}@postgres:5432/{database}");
    let mut instead = vec![
        (pg("tenantry_central"), postgres.url_of(&postgres.central())),
        (pg("tenantry_migrator"), postgres.url_of(&postgres.migrators())),
        (pg("postgres"), postgres.admin_url()),
        (format!("mysql://tenantry:{password}@mariadb:3306"), mariadb.admin_url()),
        ("postgres://postgres:5432".to_owned(), postgres.public_url()),
        ("mysql://mariadb:3306".to_owned(), mariadb.public_url()),
        ("otel-collector:4317".to_owned(), nobody.to_string()),
    ];
    for (name, port, address) in
        [("catalog", 50051, at.catalog), ("migrator", 50052, at.migrator), ("crm", 50053, at.crm)]
    {
        instead.push((format!("//{name}:{port}"), format!("//{address}")));
        instead.push((format!("0.0.0.0:{port}"), address.to_string()));
    }
    Ok(instead)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_services_take_companies_with_the_environment_that_it_gives_them() -> anyhow::Result<()> {
    let compose = compose()?;
    let world = World::prepare(&compose).await?;
    let service = |name: &str| compose.services.get(name).with_context(|| format!("no service {name}"));
    let central = service("migrate-central")?;
    run(central.command(&central.command, &world)?).await?.success()?;

    let mut processes: Vec<Process> = Vec::new();
    for name in ["catalog", "migrator", "crm"] {
        let service = service(name)?;
        let mut command = service.command(&service.command, &world)?;
        if name == "migrator" {
            // So that tests on one server do not take each other's.
            command.env("MIGRATOR_DATABASE_PREFIX", world.servers.prefix());
        }
        processes.push(serve(command).await?);
        service.is_healthy(&world).await?;
    }
    let at = Clients::of(world.addresses);
    let one = Inhabited::new(at, "Sunrise Energy").await?;
    let two = Inhabited::new(at, "Moonlight Energy").await?;
    one.is_seen_by(at, &one.owner).await?;
    one.is_hidden_from(at, &two).await?;
    for process in processes {
        process.stop("TERM").await?;
    }
    world.end().await
}

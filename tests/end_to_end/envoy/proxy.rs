//! An Envoy of the test's own, with the configuration that is in `deploy/envoy` for everybody.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tenantry_rpc::client::{self, ServiceChannel};
use tenantry_testkit::process::Process;
use tenantry_testkit::sandbox::Sandbox;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clients::{command, tool};

/// A bound for what hangs.
const BOUND: Duration = Duration::from_secs(60);
const CONFIGURATION: &str = include_str!("../../../deploy/envoy/envoy.yaml");

/// What an Envoy is in front of.
pub(crate) struct Behind {
    /// Every replica's address.
    pub(crate) catalogs: Vec<SocketAddr>,
    pub(crate) crms: Vec<SocketAddr>,
    pub(crate) issuer: String,
}

/// A running Envoy.
pub(crate) struct Envoy {
    process: Process,
    front: SocketAddr,
    admin: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Envoy {
    /// In front of a sandbox.
    pub(super) async fn before(sandbox: &Sandbox) -> anyhow::Result<Self> {
        let at = sandbox.addresses();
        let issuer = format!("http://{}", at.catalog);
        Self::in_front_of(&Behind { catalogs: vec![at.catalog], crms: vec![at.crm], issuer }).await
    }

    /// Ready to take calls. It keeps the key set for a second.
    pub(crate) async fn in_front_of(behind: &Behind) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (configuration, admin) = (folder.path().join("envoy.yaml"), folder.path().join("admin"));
        std::fs::write(&configuration, filled_in(behind)?)?;
        let mut envoy = command(tool("TENANTRY_TEST_ENVOY")?);
        envoy.arg("--config-path").arg(&configuration).arg("--admin-address-path").arg(&admin);
        // An admin port of the test's own is no part of what users take over.
        let own = "admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }";
        envoy.args(["--config-yaml", own, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"]);
        let process = Process::start(envoy)?;
        let admin: SocketAddr = eventually("Envoy's admin address", async || read_address(&admin)).await?;
        eventually("Envoy", async || Ok((get(admin, "/ready").await? == "LIVE\n").then_some(()))).await?;
        let listeners: Value = serde_json::from_str(&get(admin, "/listeners?format=json").await?)?;
        let address = &listeners["listener_statuses"][0]["local_address"]["socket_address"];
        let port = address["port_value"].as_u64().and_then(|port| u16::try_from(port).ok());
        let front = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port.context("no port")?));
        Ok(Self { process, front, admin, _folder: folder })
    }

    /// A channel to a service through it.
    pub(crate) fn channel(&self, service: &'static str) -> anyhow::Result<ServiceChannel> {
        Ok(client::open(&format!("http://{}", self.front), service, None)?)
    }

    /// One of its counters.
    pub(super) async fn counted(&self, name: &str) -> anyhow::Result<u64> {
        let stats = get(self.admin, &format!("/stats?filter={name}")).await?;
        let counts = stats.lines().filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok());
        Ok(counts.sum())
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.process.stop("TERM").await.map(drop)
    }
}

/// As `envsubst` does it; and where a name would have several addresses, they are written out.
fn filled_in(behind: &Behind) -> anyhow::Result<String> {
    let (_, text) = CONFIGURATION.split_once("\nstatic_resources:").context("no configuration")?;
    let mut text = format!("static_resources:{text}");
    let (catalog, crm) = (behind.catalogs.first().context("no catalog")?, behind.crms.first().context("no crm")?);
    for (name, value) in [
        ("LISTEN_ADDRESS", "127.0.0.1".to_owned()),
        ("LISTEN_PORT", "0".to_owned()),
        ("CATALOG_HOST", catalog.ip().to_string()),
        ("CATALOG_PORT", catalog.port().to_string()),
        ("CRM_HOST", crm.ip().to_string()),
        ("CRM_PORT", crm.port().to_string()),
        ("ISSUER", behind.issuer.clone()),
        ("JWKS_CACHE_S", "1".to_owned()),
    ] {
        ensure!(
            CONFIGURATION.contains(&format!("#   {name}")) || CONFIGURATION.contains(&format!(", {name} ")),
            "{name}"
        );
        text = text.replace(&format!("${{{name}}}"), &value);
    }
    ensure!(!text.contains("${"), "a name is not filled in");
    for replicas in [&behind.catalogs, &behind.crms] {
        let first = endpoint(&replicas[0]);
        ensure!(text.contains(&first), "no endpoint is written so:\n{first}");
        text = text.replace(&first, &replicas.iter().map(endpoint).collect::<String>());
    }
    Ok(text)
}

fn endpoint(at: &SocketAddr) -> String {
    let (ip, port) = (at.ip(), at.port());
    let indent = " ".repeat(14);
    format!(
        "{indent}- endpoint:\n{indent}    address:\n{indent}      socket_address: {{ address: \"{ip}\", port_value: {port} }}\n"
    )
}

fn read_address(file: &Path) -> anyhow::Result<Option<SocketAddr>> {
    Ok(std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()))
}

/// Asks until there is an answer; what fails meanwhile is not there yet.
pub(super) async fn eventually<T>(
    what: &str,
    mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        let asked = ask().await;
        if let Ok(Some(found)) = asked {
            return Ok(found);
        }
        if begun.elapsed() > BOUND {
            return asked.and_then(|_| Err(anyhow::anyhow!("nothing"))).with_context(|| format!("waiting for {what}"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn get(at: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(at).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no body")?;
    if head.contains("transfer-encoding: chunked") { whole(body) } else { Ok(body.to_owned()) }
}

/// The chunks of a body (RFC 9112, section 7.1) in one.
fn whole(mut chunks: &str) -> anyhow::Result<String> {
    let mut body = String::new();
    loop {
        let (length, rest) = chunks.split_once("\r\n").context("a chunk without a length")?;
        let length = usize::from_str_radix(length, 16)?;
        if length == 0 {
            return Ok(body);
        }
        let (chunk, rest) = rest.split_at_checked(length).context("half a chunk")?;
        body.push_str(chunk);
        chunks = rest.strip_prefix("\r\n").context("a chunk without an end")?;
    }
}

//! A service's health, asked for by its own program: an image has no shell and nothing else to ask with.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use tokio::time::{Instant, timeout_at};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::client;
use crate::tls::{ClientTls, TlsConfig};

/// Asks a running service whether it is healthy: 0 if it is `SERVING`, 1 if it is not or does not answer.
#[derive(Debug, Args)]
pub struct Probe {
    /// Where it listens, as HOST:PORT; one that listens everywhere is asked on this machine.
    #[arg(long, env = "TENANTRY_LISTEN")]
    address: String,

    /// What is asked about, such as tenantry.process, which is healthy for as long as the process answers. Without it:
    /// whether the service takes calls.
    #[arg(long, default_value = "")]
    service: String,

    #[command(flatten)]
    patience: Patience,

    // With a certificate to serve with, as the service itself has it, TLS is spoken.
    #[command(flatten)]
    tls: TlsConfig,
}

/// How long an answer is waited for.
#[derive(Debug, Args)]
pub struct Patience {
    /// How long the answer may take, in milliseconds.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    timeout_ms: u64,
}

impl Probe {
    /// Asks the service `name`. Anything but `SERVING` is an error, which says what was heard instead.
    pub async fn run(&self, name: &'static str) -> anyhow::Result<()> {
        self.tls.validate().map_err(anyhow::Error::msg)?;
        let scheme = if self.tls.serves() { "https" } else { "http" };
        let address = format!("{scheme}://{}", reachable(&self.address));
        let tls = ClientTls::of_probe(&self.tls)?;
        let channel = client::open_with(&tls, &address, name, None)?;
        self.patience.ask(HealthClient::new(channel), &self.service, &format!("{name} at {address}")).await
    }
}

impl Patience {
    /// Asks the service `name` at an address without TLS about all of it.
    pub async fn ask_whole(&self, name: &'static str, address: &str) -> anyhow::Result<()> {
        let address = format!("http://{}", reachable(address));
        let channel = client::open(&address, name, None)?;
        self.ask(HealthClient::new(channel), "", &format!("{name} at {address}")).await
    }

    async fn ask(
        &self,
        mut health: HealthClient<client::ServiceChannel>,
        service: &str,
        whom: &str,
    ) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_millis(self.timeout_ms);
        // Without a deadline of its own, which would end at the same moment with a message of tonic's.
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = timeout_at(until, health.check(request)).await;
        let answer = answer.with_context(|| format!("{whom} does not answer within {} ms", self.timeout_ms))?;
        let status = match answer {
            Ok(answer) => answer.into_inner().status(),
            Err(status) if status.code() == Code::NotFound => bail!("{whom} knows no health of {service:?}"),
            Err(status) => bail!("{whom} cannot be asked: {:?}: {}", status.code(), status.message()),
        };
        ensure!(status == ServingStatus::Serving, "{whom} is {}", status.as_str_name());
        Ok(())
    }
}

/// Nobody can be called at the address of every interface.
fn reachable(address: &str) -> String {
    match address.rsplit_once(':') {
        Some(("0.0.0.0", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        assert_eq!(reachable("0.0.0.0:50051"), "127.0.0.1:50051");
        assert_eq!(reachable("[::]:50051"), "[::1]:50051");
        assert_eq!(reachable("10.0.0.1:50051"), "10.0.0.1:50051");
        assert_eq!(reachable("catalog:50051"), "catalog:50051");
    }
}

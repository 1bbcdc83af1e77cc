//! `tenantry demo`: the tour, or companies full of made-up people.

mod calls;
mod company;
mod data;
mod data_file;
mod load;
mod random;
mod resident;
mod totals;
mod tour;

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tenantry_api::catalog::v1::GetJwksRequest;
use tenantry_api::catalog::v1::key_service_client::KeyServiceClient;
use tenantry_rpc::client::{self, ServiceChannel};
use tokio::time::Instant;

use crate::operator::{Connection, Exit, Format};
use crate::{Addresses, operator::Output};

/// Everybody's password: these people are made up, and so are their companies.
const PASSWORD: &str = "correct horse battery staple";

/// What `tenantry demo` takes.
#[derive(Args, Debug, Clone)]
pub struct Demo {
    /// Fills so many companies with made-up people, instead of taking the tour.
    #[arg(long, requires = "people", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    companies: Option<u32>,

    /// How many people each of them has; their addresses, devices, payments and tickets come with them.
    #[arg(long, requires = "companies", value_parser = clap::value_parser!(u32).range(10..=100_000))]
    people: Option<u32>,

    /// Makes others of another seed. The same seed makes the same ones: within 24 hours a repetition doubles nothing, and
    /// goes on where a run was cut short.
    #[arg(long, requires = "companies", default_value_t = 1)]
    seed: u64,

    /// How many calls are under way at a time.
    #[arg(long, requires = "companies", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: u16,

    /// For how long a call is repeated that is put off or gets no answer, in milliseconds.
    #[arg(long, requires = "companies", default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    retry_for_ms: u64,

    /// The crm. Without it: the instance at --address and --port. --catalog-address says where the catalog is.
    #[arg(long, env = "TENANTRY_CRM_ADDRESS")]
    crm_address: Option<String>,
}

/// The companies to fill.
struct Order {
    companies: u32,
    people: u32,
    seed: u64,
    parallel: usize,
    retry_for: Duration,
}

/// The two services that a company's people talk to.
#[derive(Clone)]
pub struct Services {
    catalog: ServiceChannel,
    crm: ServiceChannel,
}

impl Demo {
    /// Whether it fills companies, and takes no tour.
    pub fn fills(&self) -> bool {
        self.companies.is_some()
    }

    /// The services that the command line names, if it names any; `running` is where the others are.
    pub fn named(&self, connection: &Connection, running: Addresses) -> anyhow::Result<Option<Services>> {
        if self.crm_address.is_none() && connection.catalog_address.is_none() {
            return Ok(None);
        }
        let tls = connection.tls.clone().client()?;
        let open = |named: &Option<String>, otherwise: SocketAddr, service: &'static str| {
            let address = named.clone().unwrap_or_else(|| format!("http://{otherwise}"));
            client::open_with(&tls, &address, service, None)
        };
        let catalog = open(&connection.catalog_address, running.catalog, "catalog")?;
        Ok(Some(Services { catalog, crm: open(&self.crm_address, running.crm, "crm")? }))
    }

    /// Does it. `stays` says whether what is made can be looked at afterwards.
    pub async fn run(&self, services: Services, format: Format, stays: bool) -> anyhow::Result<Exit> {
        let Some((companies, people)) = self.companies.zip(self.people) else {
            tour::run(services).await?;
            return Ok(Exit::Done);
        };
        let retry_for = Duration::from_millis(self.retry_for_ms);
        let order = Order { companies, people, seed: self.seed, parallel: self.parallel.into(), retry_for };
        load::run(services, &order, &Output::new(format.json), stays).await
    }
}

impl Services {
    /// Those of an instance at these addresses.
    pub fn of(at: Addresses) -> anyhow::Result<Self> {
        let open = |address: SocketAddr, service| client::open(&format!("http://{address}"), service, None);
        Ok(Self { catalog: open(at.catalog, "catalog")?, crm: open(at.crm, "crm")? })
    }

    /// Whether a catalog answers, and not just anything.
    pub async fn are_running(&self) -> bool {
        let request = client::request(GetJwksRequest {}, Instant::now() + Duration::from_secs(1));
        KeyServiceClient::new(self.catalog.clone()).get_jwks(request).await.is_ok()
    }
}

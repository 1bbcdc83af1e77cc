//! Three processes that know each other by certificates alone: no service key, no plaintext.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::Context as _;
use tenantry_api::catalog::v1::company_service_client::CompanyServiceClient;
use tenantry_api::catalog::v1::token_service_client::TokenServiceClient;
use tenantry_api::catalog::v1::{Company, CompanyState, LoginRequest};
use tenantry_api::crm::v1::person_service_client::PersonServiceClient;
use tenantry_api::crm::v1::{CreatePersonRequest, Person};
use tenantry_rpc::client::{self, ServiceChannel};
use tenantry_rpc::tls::{ClientTls, ClientTlsSettings, PairFiles};
use tenantry_testkit::actors::{Actor as _, Bearer, PASSWORD, fresh_email, registration};
use tenantry_testkit::process::{Process, program, run};
use tenantry_testkit::sandbox::Engine;

use super::pki::{Authority, identities, replace};
use crate::processes::{Deployment, serve};

pub(super) const SERVICES: [&str; 3] = ["catalog", "migrator", "crm"];

/// A deployment with an authority of its own.
pub(super) struct Secured {
    pub(super) deployment: Deployment,
    pub(super) authority: Authority,
}

/// Somebody outside.
pub(super) struct Outside {
    tls: Arc<ClientTls>,
    ports: [u16; 3],
}

impl Secured {
    pub(super) async fn on(engine: Engine) -> anyhow::Result<Self> {
        let deployment = Deployment::on(engine)?;
        deployment.prepare().await?;
        // Nobody has a key: certificates are all there is.
        for service in SERVICES {
            std::fs::remove_file(deployment.file(&format!("{service}.pem")))?;
        }
        std::fs::remove_file(deployment.file("services.json"))?;
        let secured = Self { deployment, authority: Authority::new()? };
        std::fs::create_dir(secured.folder())?;
        replace(&secured.authorities(), &secured.authority.pem())?;
        for service in SERVICES {
            secured.authority.issue(&secured.folder(), service)?;
        }
        Ok(secured)
    }

    /// Where the certificates are.
    pub(super) fn folder(&self) -> PathBuf {
        self.deployment.file("tls")
    }

    /// The file of the authorities that everybody trusts.
    pub(super) fn authorities(&self) -> PathBuf {
        self.folder().join("ca.crt")
    }

    fn with_tls(&self, mut command: Command, service: &str) -> Command {
        command.env("TENANTRY_TLS_CERT_FILE", self.folder().join(format!("{service}.crt")));
        command.env("TENANTRY_TLS_KEY_FILE", self.folder().join(format!("{service}.key")));
        command.env("TENANTRY_TLS_CLIENT_CA_FILE", self.authorities());
        command.env("TENANTRY_TLS_CA_FILE", self.authorities());
        command.env("TENANTRY_TLS_SERVICE_IDENTITIES", identities());
        command.env("TENANTRY_TLS_RELOAD_INTERVAL_MS", "50");
        command
    }

    pub(super) fn catalog(&self) -> anyhow::Result<Command> {
        let mut catalog = self.with_tls(self.deployment.catalog()?, "catalog");
        let file = self.deployment.file("catalog.env");
        let text = std::fs::read_to_string(&file)?;
        let keyless =
            text.lines().filter(|line| !line.contains("SERVICE_KEY_FILE") && !line.contains("TRUSTED_SERVICES"));
        std::fs::write(&file, keyless.collect::<Vec<_>>().join("\n"))?;
        // By the address alone, which is in no certificate: it is the migrator by its SPIFFE ID.
        catalog.env("CATALOG_MIGRATOR_ADDRESS", format!("https://{}", self.deployment.addresses.migrator));
        Ok(catalog)
    }

    pub(super) fn migrator(&self) -> anyhow::Result<Command> {
        let mut migrator = self.with_tls(self.deployment.migrator()?, "migrator");
        migrator.env_remove("TENANTRY_SERVICE_KEY_FILE").env_remove("TENANTRY_TRUSTED_SERVICES_FILE");
        migrator.env("TENANTRY_CATALOG_ADDRESS", format!("https://{}", self.deployment.addresses.catalog));
        Ok(migrator)
    }

    pub(super) fn crm(&self) -> anyhow::Result<Command> {
        let mut crm = self.with_tls(program("crm")?, "crm");
        crm.args(["serve", "--issuer", crate::processes::ISSUER]);
        crm.args(["--listen", &self.deployment.addresses.crm.to_string()]);
        let port = self.deployment.addresses.catalog.port();
        crm.args(["--catalog-address", &format!("https://localhost:{port}")]);
        Ok(crm)
    }

    /// `<service> health`, with the environment of the service.
    pub(super) fn health(&self, service: &str, port: u16) -> anyhow::Result<Command> {
        let mut health = self.with_tls(program(service)?, service);
        health.args(["health", "--address", &format!("127.0.0.1:{port}")]);
        Ok(health)
    }

    /// All three, at work.
    pub(super) async fn serve(&self) -> anyhow::Result<Vec<Process>> {
        Ok(vec![serve(self.catalog()?).await?, serve(self.migrator()?).await?, serve(self.crm()?).await?])
    }

    pub(super) async fn end(self, processes: Vec<Process>) -> anyhow::Result<()> {
        for process in processes {
            process.stop("TERM").await?;
        }
        self.deployment.remove().await
    }

    /// Somebody who trusts these authorities and shows this certificate, if any.
    pub(super) fn outside(&self, ca_file: PathBuf, pair: Option<PairFiles>) -> anyhow::Result<Outside> {
        let identities = identities();
        let identities: Result<_, _> = identities.split(',').map(str::parse).collect();
        let identities = identities.map_err(anyhow::Error::msg)?;
        let tls = ClientTls::of_command(ClientTlsSettings { ca_file: Some(ca_file), pair, identities })?;
        Ok(Outside { tls, ports: self.ports() })
    }

    pub(super) fn ports(&self) -> [u16; 3] {
        let at = self.deployment.addresses;
        [at.catalog.port(), at.migrator.port(), at.crm.port()]
    }

    /// `tenantry`, by an operator from outside.
    pub(super) async fn operate(&self, words: &[&str]) -> anyhow::Result<String> {
        let at = self.deployment.addresses;
        let mut tenantry = program("tenantry")?;
        tenantry.args(words);
        tenantry.args(["--catalog-address", &format!("https://localhost:{}", at.catalog.port())]);
        tenantry.args(["--migrator-address", &format!("https://{}", at.migrator)]);
        tenantry.arg("--credential-file").arg(self.deployment.file("operator-credential"));
        tenantry.arg("--tls-ca-file").arg(self.authorities());
        tenantry.args(["--tls-service-identity", &identities()]);
        run(tenantry).await?.success()
    }
}

impl Outside {
    /// A new connection to a service.
    pub(super) fn channel(&self, service: &'static str) -> anyhow::Result<ServiceChannel> {
        let place = SERVICES.iter().position(|name| *name == service).context("one of the three")?;
        let address = format!("https://localhost:{}", self.ports[place]);
        Ok(client::open_with(&self.tls, &address, service, None)?)
    }

    /// A company with its owner signed in.
    pub(super) async fn company(&self, name: &str) -> anyhow::Result<(Company, Bearer)> {
        let email = fresh_email();
        let catalog = self.channel("catalog")?;
        let request = registration(name, &email);
        let company = CompanyServiceClient::new(catalog.clone()).register_company(request).await?.into_inner();
        anyhow::ensure!(company.state() == CompanyState::Active, "{company:?}");
        let login = LoginRequest { email, password: PASSWORD.into(), ..Default::default() };
        let login = TokenServiceClient::new(catalog).login(login).await?.into_inner();
        Ok((company, Bearer(login.access_token)))
    }

    /// A person of the company, written and read again, each over a connection of its own.
    pub(super) async fn person(&self, owner: &Bearer) -> anyhow::Result<Person> {
        let person = Person { name: "Grace".into(), ..Default::default() };
        let create = CreatePersonRequest { person: Some(person), ..Default::default() };
        let mut people = PersonServiceClient::new(self.channel("crm")?);
        let made = people.create_person(owner.request(create)).await?.into_inner();
        let get = tenantry_api::crm::v1::GetPersonRequest { id: made.id.clone() };
        let read = PersonServiceClient::new(self.channel("crm")?).get_person(owner.request(get)).await?.into_inner();
        anyhow::ensure!(read == made, "{read:?}");
        Ok(made)
    }
}

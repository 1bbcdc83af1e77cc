//! Three processes, set up as the README says: the catalog by an env file, the migrator by its environment, the crm by
//! flags.

use std::iter;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use tenantry::Addresses;
use tenantry_testkit::actors::Operator;
use tenantry_testkit::process::{Process, program, run};
use tenantry_testkit::sandbox::{Clients, Engine, OnServer};
use tenantry_testkit::servers::free_in_a_row;

/// The issuer that all three are told.
pub(crate) const ISSUER: &str = "https://tenantry.example";

/// Three processes to be, on databases of their own.
pub(crate) struct Deployment {
    folder: tempfile::TempDir,
    pub(crate) addresses: Addresses,
    /// Of another replica of each, where there is one.
    pub(crate) others: Option<Addresses>,
    /// The central and the migrator's own database; `None` is files in the folder.
    control: Option<OnServer>,
    /// Where the companies' databases are, if not there.
    elsewhere: Option<OnServer>,
    public_sign_up: bool,
}

impl Deployment {
    /// The catalog's: 32 bytes in base64.
    pub(crate) const KEY_ENCRYPTION_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    pub(crate) fn on_files() -> anyhow::Result<Self> {
        Ok(Self {
            folder: tempfile::tempdir()?,
            addresses: free_addresses()?,
            others: None,
            control: None,
            elsewhere: None,
            public_sign_up: true,
        })
    }

    /// On the suite's server.
    pub(crate) fn on(engine: Engine) -> anyhow::Result<Self> {
        Ok(Self { control: OnServer::of_suite(engine)?, ..Self::on_files()? })
    }

    /// With the companies' databases on another server than the central one.
    pub(crate) fn with_companies_on(self, server: OnServer) -> Self {
        Self { elsewhere: Some(server), ..self }
    }

    /// With addresses for another replica of each service, of which all are told.
    pub(crate) fn with_others(self) -> anyhow::Result<Self> {
        Ok(Self { others: Some(free_addresses()?), ..self })
    }

    /// Without public sign-up, as a catalog is unless it is told.
    pub(crate) fn closed(self) -> Self {
        Self { public_sign_up: false, ..self }
    }

    /// Drops what was made on the suite's server.
    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        match self.control {
            Some(databases) => databases.drop_all().await,
            None => Ok(()),
        }
    }

    pub(crate) fn clients(&self) -> Clients {
        Clients::of(self.addresses)
    }

    /// Every address of a service, as its clients are told them.
    pub(crate) fn all(&self, of: impl Fn(&Addresses) -> SocketAddr) -> String {
        let all = iter::once(&self.addresses).chain(&self.others).map(|addresses| format!("http://{}", of(addresses)));
        all.collect::<Vec<_>>().join(",")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn operator(&self) -> anyhow::Result<Operator> {
        let credential = std::fs::read_to_string(self.file("operator-credential"))?.trim().to_owned();
        Operator::with_credential(self.clients(), credential).await
    }

    /// The databases of the control plane, where they are on a server.
    pub(crate) fn control(&self) -> Option<&OnServer> {
        self.control.as_ref()
    }

    fn central_url(&self) -> String {
        match &self.control {
            Some(server) => server.url_of(&server.central()),
            None => format!("sqlite://{}", self.file("central.db").display()),
        }
    }

    fn migrator_url(&self) -> String {
        match &self.control {
            Some(server) => server.url_of(&server.migrators()),
            None => format!("sqlite://{}", self.file("migrator.db").display()),
        }
    }

    fn companies(&self) -> Option<&OnServer> {
        self.elsewhere.as_ref().or(self.control.as_ref())
    }

    /// `migrator migrate-central`.
    pub(crate) async fn migrate_central(&self) -> anyhow::Result<String> {
        let mut migrator = program("migrator")?;
        migrator.arg("migrate-central");
        migrator.args(["--central-database-url", &self.central_url()]);
        migrator.args(["--migrator-database-url", &self.migrator_url()]);
        run(migrator).await?.success()
    }

    /// `catalog bootstrap-operator`.
    pub(crate) fn bootstrap(&self, credential_file: Option<&Path>) -> anyhow::Result<Command> {
        let mut catalog = program("catalog")?;
        catalog.arg("bootstrap-operator").env("CATALOG_DATABASE_URL", self.central_url());
        if let Some(file) = credential_file {
            catalog.arg("--credential-file").arg(file);
        }
        Ok(catalog)
    }

    /// `<service> generate-key`.
    pub(crate) fn generate_key(&self, service: &str) -> anyhow::Result<Command> {
        let mut command = program(service)?;
        command.arg("generate-key").arg("--key-file").arg(self.file(&format!("{service}.pem")));
        command.arg("--trust-file").arg(self.file("services.json"));
        Ok(command)
    }

    /// Everything that comes before the first `serve`.
    pub(crate) async fn prepare(&self) -> anyhow::Result<()> {
        self.migrate_central().await?;
        run(self.bootstrap(Some(&self.file("operator-credential")))?).await?.success()?;
        for service in ["catalog", "migrator", "crm"] {
            run(self.generate_key(service)?).await?.success()?;
        }
        Ok(())
    }

    /// All three, serving, each with what `set` adds to its command.
    pub(crate) async fn serve_all(&self, set: impl Fn(&mut Command)) -> anyhow::Result<Vec<Process>> {
        let mut processes = Vec::new();
        for mut command in [self.catalog()?, self.migrator()?, self.crm()?] {
            set(&mut command);
            processes.push(serve(command).await?);
        }
        Ok(processes)
    }

    /// `catalog serve`, by an env file.
    pub(crate) fn catalog(&self) -> anyhow::Result<Command> {
        let server = match self.companies() {
            Some(server) => format!("main={}", server.public_url()),
            None => format!("main=sqlite:{}", self.file("tenants").display()),
        };
        let text = format!(
            "# The catalog's.\n\
             TENANTRY_LISTEN={}\n\
             TENANTRY_ISSUER={ISSUER}\n\
             TENANTRY_SERVICE_KEY_FILE={}\n\
             TENANTRY_TRUSTED_SERVICES_FILE={}\n\
             CATALOG_DATABASE_URL={}\n\
             CATALOG_KEY_ENCRYPTION_KEY={}\n\
             CATALOG_DATABASE_SERVERS={server}\n\
             CATALOG_MIGRATOR_ADDRESS={}\n\
             # So that nobody waits for long.\n\
             CATALOG_PROVISION_MAX_BACKOFF_MS=500\n\
             {}\n",
            self.addresses.catalog,
            self.file("catalog.pem").display(),
            self.file("services.json").display(),
            self.central_url(),
            Self::KEY_ENCRYPTION_KEY,
            self.all(|at| at.migrator),
            if self.public_sign_up { "CATALOG_PUBLIC_SIGN_UP=true" } else { "" },
        );
        let file = self.file("catalog.env");
        std::fs::write(&file, text)?;
        let mut catalog = program("catalog")?;
        catalog.arg("serve").arg("--env-file").arg(file);
        Ok(catalog)
    }

    /// `migrator serve`, by its environment.
    pub(crate) fn migrator(&self) -> anyhow::Result<Command> {
        let (prefix, server) = match self.companies() {
            Some(server) => (server.prefix(), format!("main={}", server.admin_url())),
            None => ("tnt_", format!("main=sqlite:{}", self.file("tenants").display())),
        };
        let mut migrator = program("migrator")?;
        migrator.arg("serve");
        migrator.env("TENANTRY_LISTEN", self.addresses.migrator.to_string());
        migrator.env("TENANTRY_ISSUER", ISSUER);
        migrator.env("TENANTRY_SERVICE_KEY_FILE", self.file("migrator.pem"));
        migrator.env("TENANTRY_TRUSTED_SERVICES_FILE", self.file("services.json"));
        migrator.env("TENANTRY_CATALOG_ADDRESS", self.all(|at| at.catalog));
        migrator.env("MIGRATOR_DATABASE_URL", self.migrator_url());
        migrator.env("MIGRATOR_DATABASE_SERVERS", server);
        migrator.env("MIGRATOR_DATABASE_PREFIX", prefix);
        Ok(migrator)
    }

    /// `crm serve`, by flags.
    pub(crate) fn crm(&self) -> anyhow::Result<Command> {
        self.crm_at(&self.addresses.crm.to_string())
    }

    pub(crate) fn crm_at(&self, address: &str) -> anyhow::Result<Command> {
        self.tenant_service("crm", address)
    }

    /// A tenant-aware service, ours or another, by flags.
    pub(crate) fn tenant_service(&self, name: &str, address: &str) -> anyhow::Result<Command> {
        let mut service = program(name)?;
        service.args(["serve", "--listen", address, "--issuer", ISSUER]);
        service.arg("--service-key-file").arg(self.file(&format!("{name}.pem")));
        service.arg("--trusted-services-file").arg(self.file("services.json"));
        service.args(["--catalog-address", &self.all(|at| at.catalog)]);
        Ok(service)
    }
}

fn free_addresses() -> anyhow::Result<Addresses> {
    let first = free_in_a_row(3)?;
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Ok(Addresses { catalog: at(first), migrator: at(first + 1), crm: at(first + 2) })
}

/// Starts a service and waits until it listens.
pub(crate) async fn serve(command: Command) -> anyhow::Result<Process> {
    let mut process = Process::start(command)?;
    process.says(|said| said.contains(" listens on ").then_some(())).await?;
    Ok(process)
}

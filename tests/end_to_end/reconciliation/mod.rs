//! What somebody has left on a server is named, and mended when asked for; what is as it should be is left alone.

mod bounds;
mod careful;
mod messes;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use tenantry_api::crm::v1::{CreatePersonRequest, Person};
use tenantry_api::migrator::v1::{
    DatabaseOnServer, FindingKind, RepairRequest, RepairState, SurveyReport, SurveyRequest,
};
use tenantry_testkit::actors::{Actor, Operator, Owner};
use tenantry_testkit::sandbox::Sandbox;
use tonic::Status;
use uuid::Uuid;

use crate::migrations::database_of;

/// What a report says, short.
type Told = BTreeSet<(FindingKind, String)>;

/// An operator on a server where things were done by hand.
struct Ground<'s> {
    sandbox: &'s Sandbox,
    operator: Operator,
}

/// However short a time something has been so.
const AT_ONCE: Option<prost_types::Duration> = Some(prost_types::Duration { seconds: 0, nanos: 0 });

impl<'s> Ground<'s> {
    async fn of(sandbox: &'s Sandbox) -> anyhow::Result<Self> {
        Ok(Self { sandbox, operator: Operator::of(sandbox).await? })
    }

    /// A company, and its database's name.
    async fn company(&self, name: &str) -> anyhow::Result<(Owner, String)> {
        let owner = Owner::of_new_company(self.sandbox, name).await?;
        let database = database_of(self.sandbox, &self.operator, &owner.company.id).await?;
        Ok((owner, database))
    }

    async fn survey(&self) -> anyhow::Result<SurveyReport> {
        let request = SurveyRequest { servers: Vec::new(), min_age: AT_ONCE };
        Ok(self.sandbox.clients().reconciliation()?.survey(self.operator.request(request)).await?.into_inner())
    }

    async fn repair(&self, request: RepairRequest) -> Result<SurveyReport, Status> {
        let mut request = self.operator.request(RepairRequest { min_age: AT_ONCE, ..request });
        // Much longer than it takes.
        request.set_timeout(Duration::from_secs(240));
        let mut client =
            self.sandbox.clients().reconciliation().map_err(|error| Status::internal(error.to_string()))?;
        Ok(client.repair(request).await?.into_inner())
    }

    async fn drop_named(&self, names: &[&str], force: bool) -> Result<SurveyReport, Status> {
        let named = |name: &&str| DatabaseOnServer { server: self.server().to_owned(), name: (*name).to_owned() };
        self.repair(RepairRequest { drop_databases: names.iter().map(named).collect(), force, ..Default::default() })
            .await
    }

    /// The name that the sandbox has its server by.
    fn server(&self) -> &'static str {
        if self.sandbox.on_server().is_some() { "main" } else { "local" }
    }

    /// What every name of this installation begins with.
    fn prefix(&self) -> &str {
        self.sandbox.on_server().map_or("tnt_", |server| server.prefix())
    }

    /// A name as the migrator gives it, of nobody's.
    fn fresh_name(&self) -> String {
        format!("{}{}", self.prefix(), &Uuid::now_v7().simple().to_string()[6..])
    }

    fn is_postgres(&self) -> bool {
        self.sandbox.on_server().is_some_and(|server| server.admin_url().starts_with("postgres"))
    }

    fn has_roles(&self) -> bool {
        self.sandbox.on_server().is_some()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.sandbox.folder().join("data/tenants").join(format!("{name}.db"))
    }

    async fn make_database(&self, name: &str) -> anyhow::Result<()> {
        match self.sandbox.on_server() {
            Some(server) => server.run(&format!("CREATE DATABASE {name}")).await,
            None => Ok(std::fs::write(self.file(name), "")?),
        }
    }

    async fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        match self.sandbox.on_server() {
            Some(server) => server.drop_database(name).await,
            None => Ok(std::fs::remove_file(self.file(name))?),
        }
    }

    async fn make_role(&self, name: &str) -> anyhow::Result<()> {
        match self.sandbox.on_server() {
            Some(server) if self.is_postgres() => server.run(&format!("CREATE ROLE {name} LOGIN")).await,
            Some(server) => server.run(&format!("CREATE USER '{name}'@'%' ACCOUNT LOCK")).await,
            None => anyhow::bail!("files have no roles"),
        }
    }

    /// Everything on the server, from the server itself.
    async fn there(&self) -> anyhow::Result<BTreeSet<String>> {
        if let Some(server) = self.sandbox.on_server() {
            let roles = server.roles().await?.into_iter().map(|role| format!("role {role}"));
            return Ok(server.tenant_databases().await?.into_iter().chain(roles).collect());
        }
        let mut names = BTreeSet::new();
        for file in std::fs::read_dir(self.sandbox.folder().join("data/tenants"))? {
            let name = file?.file_name().to_string_lossy().into_owned();
            names.extend(name.strip_suffix(".db").map(str::to_owned));
        }
        Ok(names)
    }
}

fn told(report: &SurveyReport) -> Told {
    assert_eq!(usize::try_from(report.finding_count).ok(), Some(report.findings.len()));
    report.findings.iter().map(|finding| (finding.kind(), finding.name.clone())).collect()
}

/// Those in this state.
fn in_state(report: &SurveyReport, state: RepairState) -> Told {
    let findings = report.findings.iter().filter(|finding| finding.state() == state);
    findings.map(|finding| (finding.kind(), finding.name.clone())).collect()
}

/// The company's people can write.
async fn works(sandbox: &Sandbox, owner: &Owner) -> anyhow::Result<()> {
    let person = Some(Person { name: "Somebody".to_owned(), ..Default::default() });
    let create = CreatePersonRequest { person, ..Default::default() };
    sandbox.people()?.create_person(owner.request(create)).await?;
    Ok(())
}

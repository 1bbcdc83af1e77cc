//! Commands on the fleet.

use clap::Args;
use tenantry_api::catalog::v1::{CompanyState, ListCompaniesRequest, RetryProvisioningRequest};
use tenantry_api::migrator::v1::database_target::Database;
use tenantry_api::migrator::v1::{
    CreateRolloutRequest, CreateRolloutResponse, DatabaseTarget, FleetStatus, GetFleetStatusRequest, MigrateRequest,
    TargetSelector,
};

use super::connection::Session;
use super::exit::Exit;
use super::one;
use super::output::{Output, table};
use super::policy::PolicyFlags;
use super::rollouts;

/// Companies a page.
const PAGE_SIZE: i32 = 1_000;

#[derive(Args)]
pub struct Migrate {
    /// Then every company's: provisions what has failed, and rolls the newest version out.
    #[arg(long)]
    all: bool,

    /// The central database's newest version to apply. Without it: all.
    #[arg(long, value_name = "VERSION", conflicts_with = "all")]
    to: Option<String>,

    #[command(flatten)]
    policy: PolicyFlags,
}

impl Migrate {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        let target = Some(DatabaseTarget { database: Some(Database::Central(true)), ..Default::default() });
        let request = MigrateRequest { target, version: self.to.unwrap_or_default() };
        let done = session.migrations().migrate(session.request(request)?).await?.into_inner();
        one::report(output, &done)?;
        if !self.all {
            return Ok(Exit::Done);
        }
        provision_what_failed(session, output).await?;
        let request = CreateRolloutRequest { policy: Some(self.policy.message()), ..Default::default() };
        match create(session, request).await {
            Ok(created) => rollouts::follow(session, output, created.rollout.unwrap_or_default()).await,
            // No company yet: nothing is behind.
            Err(error) if super::failure_of(&error).1 == Exit::Nothing => Ok(Exit::Done),
            Err(error) => Err(error),
        }
    }
}

/// Companies without a database get one: the catalog goes on where it gave up.
async fn provision_what_failed(session: &Session, output: &Output) -> anyhow::Result<()> {
    let failed = ListCompaniesRequest { states: vec![CompanyState::Failed.into()], ..Default::default() };
    for company in list(session, failed).await? {
        let request = RetryProvisioningRequest { id: company.id.clone(), ..Default::default() };
        let now = session.companies().retry_provisioning(session.request(request)?).await?.into_inner();
        let state = state_word(now.state());
        if !output.is_json() {
            output.line(&format!("{}: provisioning again, {state}", company.slug))?;
        }
    }
    Ok(())
}

#[derive(Args)]
pub struct MigrateTenants {
    /// These companies only, by id or slug.
    #[arg(long, value_name = "COMPANY,…", value_delimiter = ',')]
    tenants: Vec<String>,

    /// Not these companies, by id or slug.
    #[arg(long, value_name = "COMPANY,…", value_delimiter = ',')]
    skip: Vec<String>,

    /// Those with this label; may be repeated, and then they need all of them.
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,

    /// Those on this database server.
    #[arg(long, value_name = "NAME")]
    server: Option<String>,

    /// Those at this version or newer.
    #[arg(long, value_name = "VERSION")]
    from_version: Option<String>,

    /// Those at this version or older.
    #[arg(long, value_name = "VERSION")]
    up_to_version: Option<String>,

    /// The version to bring them to. Without it: the newest.
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,

    /// This plugin's tables, in the databases that have them.
    #[arg(long, value_name = "NAME", default_value = "")]
    plugin: String,

    /// Takes migrations back where a database is newer than that.
    #[arg(long)]
    allow_rollback: bool,

    /// Says what it would be, and does nothing.
    #[arg(long)]
    dry_run: bool,

    /// Does not wait for the end.
    #[arg(long)]
    no_wait: bool,

    #[command(flatten)]
    policy: PolicyFlags,
}

impl MigrateTenants {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        let targets = TargetSelector {
            company_ids: session.company_ids(&self.tenants).await?,
            labels: self.label,
            server: self.server.unwrap_or_default(),
            min_version: self.from_version.unwrap_or_default(),
            max_version: self.up_to_version.unwrap_or_default(),
            skip_company_ids: session.company_ids(&self.skip).await?,
        };
        let request = CreateRolloutRequest {
            targets: Some(targets),
            version: self.to.unwrap_or_default(),
            plugin: self.plugin,
            policy: Some(self.policy.message()),
            allow_rollback: self.allow_rollback,
            validate_only: self.dry_run,
            request_id: String::new(),
        };
        let created = create(session, request).await?;
        if self.dry_run {
            output.answer("tenantry.migrator.v1.CreateRolloutResponse", &created, plan_text)?;
            return Ok(Exit::Done);
        }
        let rollout = created.rollout.unwrap_or_default();
        if self.no_wait {
            return rollouts::show(output, &rollout);
        }
        rollouts::follow(session, output, rollout).await
    }
}

async fn create(session: &Session, request: CreateRolloutRequest) -> anyhow::Result<CreateRolloutResponse> {
    Ok(session.rollouts().create_rollout(session.request(request)?).await?.into_inner())
}

fn plan_text(plan: &CreateRolloutResponse) -> String {
    let rollout = plan.rollout.clone().unwrap_or_default();
    let counts = rollout.counts.unwrap_or_default();
    let mut text = format!(
        "{} databases to {}: {} with something to do, {} there already",
        counts.total, rollout.target_version, counts.pending, counts.skipped
    );
    for group in &plan.groups {
        let start = if group.start_version.is_empty() { "nothing" } else { &group.start_version };
        text.push_str(&format!("\n\n-- {} on {}, from {start}", group.databases, group.engine));
        for statement in group.steps.iter().flat_map(|step| &step.statements) {
            text.push_str(&format!("\n{statement};"));
        }
    }
    text
}

/// The fleet in one compact answer.
pub(crate) async fn status(session: &Session, output: &Output) -> anyhow::Result<Exit> {
    let request = session.request(GetFleetStatusRequest::default())?;
    let fleet = session.rollouts().get_fleet_status(request).await?.into_inner();
    output.answer("tenantry.migrator.v1.FleetStatus", &fleet, fleet_text)?;
    let is_well = fleet.behind == 0 && fleet.failed_total == 0 && fleet.drifted == 0;
    Ok(if is_well { Exit::Done } else { Exit::Differs })
}

fn fleet_text(fleet: &FleetStatus) -> String {
    let mut text = format!(
        "{} databases; newest version {}\nbehind {}, failed {}, drifted {}, being worked on {}",
        fleet.databases, fleet.head_version, fleet.behind, fleet.failed_total, fleet.drifted, fleet.locked
    );
    if !fleet.active_rollout_id.is_empty() {
        text.push_str(&format!("\nrollout {} is not finished", fleet.active_rollout_id));
    }
    let version = |version: &str| if version.is_empty() { "being made".to_owned() } else { version.to_owned() };
    let mut rows = vec![vec!["version".to_owned(), "server".to_owned(), "databases".to_owned()]];
    let counts = fleet.versions.iter();
    rows.extend(counts.map(|at| vec![version(&at.version), at.server.clone(), at.databases.to_string()]));
    text.push_str(&format!("\n\n{}", table(&rows)));
    if !fleet.failed.is_empty() {
        let rows: Vec<Vec<String>> = fleet.failed.iter().map(rollouts::failure_row).collect();
        text.push_str(&format!("\n\nfailed\n{}", table(&rows)));
    }
    text
}

#[derive(Args)]
pub struct Companies {
    /// Those with this label; may be repeated, and then they need all of them.
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,

    /// Those on this database server.
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
}

impl Companies {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        let request = ListCompaniesRequest {
            labels: self.label,
            database_server: self.server.unwrap_or_default(),
            ..Default::default()
        };
        let companies = list(session, request).await?;
        if output.is_json() {
            for company in &companies {
                output.answer("tenantry.catalog.v1.Company", company, |_| String::new())?;
            }
            return Ok(Exit::Done);
        }
        let mut rows = vec![["id", "slug", "state", "server", "version"].map(str::to_owned).to_vec()];
        rows.extend(companies.into_iter().map(|company| {
            let state = state_word(company.state()).to_owned();
            vec![company.id, company.slug, state, company.database_server, company.schema_version]
        }));
        output.line(&table(&rows))?;
        Ok(Exit::Done)
    }
}

fn state_word(state: CompanyState) -> &'static str {
    state.as_str_name().trim_start_matches("COMPANY_STATE_")
}

async fn list(
    session: &Session,
    mut request: ListCompaniesRequest,
) -> anyhow::Result<Vec<tenantry_api::catalog::v1::Company>> {
    let mut all = Vec::new();
    request.page_size = PAGE_SIZE;
    loop {
        let page = session.companies().list_companies(session.request(request.clone())?).await?.into_inner();
        all.extend(page.companies);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        request.page_token = page.next_page_token;
    }
}

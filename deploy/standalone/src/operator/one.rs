//! Commands on one database.

use clap::{ArgGroup, Args};
use tenantry_api::migrator::v1::database_target::Database;
use tenantry_api::migrator::v1::rollback_scope::Scope;
use tenantry_api::migrator::v1::{
    CheckDriftRequest, DatabaseTarget, DriftReport, FreshRequest, GetMigrationStatusRequest, MigrateRequest,
    MigrationDirection, MigrationPlan, MigrationReport, MigrationStatus, PlanMigrationRequest, RefreshRequest,
    ResetRequest, RollbackRequest, RollbackScope, SeedRequest,
};

use super::connection::Session;
use super::exit::Exit;
use super::fleet;
use super::output::{Output, table};

/// A company.
#[derive(Args)]
pub struct Company {
    /// The company's id or slug.
    company: String,
}

/// A company's database, or the central one.
#[derive(Args)]
#[command(group = ArgGroup::new("database").required(true))]
pub struct OneDatabase {
    /// The company's id or slug.
    #[arg(group = "database")]
    company: Option<String>,

    /// The central database.
    #[arg(long, group = "database")]
    central: bool,

    /// This plugin's tables in the company's database.
    #[arg(long, value_name = "NAME", default_value = "", conflicts_with = "central")]
    plugin: String,
}

impl OneDatabase {
    async fn target(&self, session: &Session) -> anyhow::Result<DatabaseTarget> {
        let database = match &self.company {
            Some(company) => Database::CompanyId(session.company_id(company).await?),
            None => Database::Central(true),
        };
        Ok(DatabaseTarget { database: Some(database), plugin: self.plugin.clone() })
    }

    pub(crate) async fn seed(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        let request = SeedRequest { target: Some(self.target(session).await?) };
        report(output, &session.migrations().seed(session.request(request)?).await?.into_inner())
    }
}

#[derive(Args)]
pub struct MigrateTenant {
    /// The company's id or slug.
    company: String,

    /// The newest version to apply. Without it: all.
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,

    /// This plugin's tables in the company's database.
    #[arg(long, value_name = "NAME", default_value = "")]
    plugin: String,

    /// Accepted for those who are used to it: what a migration could be confirmed against is a lock or a checksum, and
    /// neither is ever skipped.
    #[arg(long)]
    force: bool,
}

impl MigrateTenant {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        let database = OneDatabase { company: Some(self.company), central: false, plugin: self.plugin };
        let target = Some(database.target(session).await?);
        let request = MigrateRequest { target, version: self.to.unwrap_or_default() };
        report(output, &session.migrations().migrate(session.request(request)?).await?.into_inner())
    }
}

#[derive(Args)]
pub struct Rollback {
    #[command(flatten)]
    database: OneDatabase,

    /// The newest so many.
    #[arg(long, value_name = "N", conflicts_with = "to", value_parser = clap::value_parser!(i32).range(1..))]
    steps: Option<i32>,

    /// Everything after this version, which stays.
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,

    /// Confirms it in production.
    #[arg(long)]
    force: bool,
}

fn scope(steps: Option<i32>, to: Option<String>) -> Option<RollbackScope> {
    let scope = steps.map(Scope::Steps).or(to.map(Scope::ToVersion));
    scope.map(|scope| RollbackScope { scope: Some(scope) })
}

impl Rollback {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        let target = Some(self.database.target(session).await?);
        let request = RollbackRequest { target, scope: scope(self.steps, self.to), force: self.force };
        report(output, &session.migrations().rollback(session.request(request)?).await?.into_inner())
    }
}

/// A database that is emptied, for a while or for good.
#[derive(Args)]
pub struct Emptied {
    #[command(flatten)]
    database: OneDatabase,

    /// Confirms it in production.
    #[arg(long)]
    force: bool,

    /// Seeds afterwards.
    #[arg(long)]
    seed: bool,
}

impl Emptied {
    pub(crate) async fn reset(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        anyhow::ensure!(!self.seed, "there is nothing to seed after a reset; use refresh or fresh");
        let request = ResetRequest { target: Some(self.database.target(session).await?), force: self.force };
        report(output, &session.migrations().reset(session.request(request)?).await?.into_inner())
    }

    pub(crate) async fn refresh(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        let target = Some(self.database.target(session).await?);
        let request = RefreshRequest { target, force: self.force, seed: self.seed };
        report(output, &session.migrations().refresh(session.request(request)?).await?.into_inner())
    }

    pub(crate) async fn fresh(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        let target = Some(self.database.target(session).await?);
        let request = FreshRequest { target, force: self.force, seed: self.seed };
        report(output, &session.migrations().fresh(session.request(request)?).await?.into_inner())
    }
}

#[derive(Args)]
pub struct Status {
    /// The company's id or slug. Without it: the fleet.
    company: Option<String>,

    /// The central database.
    #[arg(long, conflicts_with = "company")]
    central: bool,

    /// This plugin's tables in the company's database.
    #[arg(long, value_name = "NAME", default_value = "", requires = "company")]
    plugin: String,
}

impl Status {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        if self.company.is_none() && !self.central {
            return fleet::status(session, output).await;
        }
        let database = OneDatabase { company: self.company, central: self.central, plugin: self.plugin };
        let request = GetMigrationStatusRequest { target: Some(database.target(session).await?) };
        let status = session.migrations().get_migration_status(session.request(request)?).await?.into_inner();
        output.answer("tenantry.migrator.v1.MigrationStatus", &status, status_text)?;
        Ok(if status.current { Exit::Done } else { Exit::Differs })
    }
}

#[derive(Args)]
pub struct Plan {
    #[command(flatten)]
    database: OneDatabase,

    /// The newest version to apply. Without it: all.
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["rollback", "rollback_steps", "rollback_to"])]
    to: Option<String>,

    /// Plans a rollback of the last run.
    #[arg(long)]
    rollback: bool,

    /// Plans a rollback of the newest so many.
    #[arg(long, value_name = "N", conflicts_with = "rollback_to", value_parser = clap::value_parser!(i32).range(1..))]
    rollback_steps: Option<i32>,

    /// Plans a rollback of everything after this version.
    #[arg(long, value_name = "VERSION")]
    rollback_to: Option<String>,

    /// Runs the statements under the lock, and takes them back. Not on MariaDB.
    #[arg(long)]
    dry_run: bool,
}

impl Plan {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        let asked = scope(self.rollback_steps, self.rollback_to);
        let request = PlanMigrationRequest {
            target: Some(self.database.target(session).await?),
            version: self.to.unwrap_or_default(),
            rollback: asked.or_else(|| self.rollback.then(RollbackScope::default)),
            dry_run: self.dry_run,
        };
        let plan = session.migrations().plan_migration(session.request(request)?).await?.into_inner();
        output.answer("tenantry.migrator.v1.MigrationPlan", &plan, plan_text)?;
        Ok(Exit::Done)
    }
}

impl Company {
    pub(crate) async fn drift(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        let request = CheckDriftRequest { company_id: session.company_id(&self.company).await? };
        let found = session.drift().check_drift(session.request(request)?).await?.into_inner();
        output.answer("tenantry.migrator.v1.DriftReport", &found, drift_text)?;
        Ok(if found.in_sync { Exit::Done } else { Exit::Differs })
    }
}

pub(crate) fn report(output: &Output, report: &MigrationReport) -> anyhow::Result<Exit> {
    output.answer("tenantry.migrator.v1.MigrationReport", report, report_text)?;
    Ok(Exit::Done)
}

fn report_text(report: &MigrationReport) -> String {
    let mut lines: Vec<String> =
        report.changes.iter().map(|change| format!("  {} {}", direction(change.direction()), change.version)).collect();
    let at = if report.to_version.is_empty() { "without migrations" } else { &report.to_version };
    let done = if lines.is_empty() { "nothing to do" } else { "now at" };
    lines.push(match lines.is_empty() {
        true => format!("{}: {done}, at {at}", report.database),
        false => format!("{}: {done} {at} (run {})", report.database, report.run_id),
    });
    lines.join("\n")
}

fn direction(direction: MigrationDirection) -> &'static str {
    match direction {
        MigrationDirection::Up => "applied   ",
        MigrationDirection::Down => "taken back",
        MigrationDirection::Unspecified => "",
    }
}

fn status_text(status: &MigrationStatus) -> String {
    let mut rows = Vec::new();
    for applied in &status.applied {
        let mark = if status.mismatched.contains(&applied.version) {
            "changed since"
        } else if status.unknown.contains(&applied.version) {
            "unknown here"
        } else {
            "applied"
        };
        rows.push(vec![applied.version.clone(), mark.to_owned(), format!("run {}", applied.run_id)]);
    }
    rows.extend(status.pending.iter().map(|version| vec![version.clone(), "pending".to_owned()]));
    let mut text = format!("{} ({})\n{}", status.database, status.set, table(&rows));
    if let Some(partial) = &status.partial {
        let way = if partial.direction() == MigrationDirection::Down { "down" } else { "up" };
        let end = if partial.refused { "which the server refused" } else { "whose end nobody saw" };
        text.push_str(&format!(
            "\n{} was cut short going {way}, at its statement {}, {end}; the next run goes on there",
            partial.version, partial.statement
        ));
    }
    for run in &status.runs {
        text.push_str(format!("\n{} by {}: {} {}", run.command, run.caller, run.state, run.error).trim_end());
    }
    text
}

fn plan_text(plan: &MigrationPlan) -> String {
    if plan.steps.is_empty() {
        return format!("-- {}: nothing to do", plan.database);
    }
    let mut text = String::new();
    for step in &plan.steps {
        let way = if step.direction() == MigrationDirection::Down { "down" } else { "up" };
        let tried = match (plan.dry_run, step.tried) {
            (true, true) => ", tried and taken back",
            (true, false) => ", not tried",
            (false, _) => "",
        };
        text.push_str(&format!("-- {way} {}{tried}\n", step.version));
        if step.code {
            text.push_str("-- code: its statements depend on what it reads\n");
        }
        for statement in &step.statements {
            text.push_str(&format!("{statement};\n"));
        }
    }
    text.trim_end().to_owned()
}

fn drift_text(report: &DriftReport) -> String {
    if report.in_sync {
        return format!("{}: as {} makes it", report.name, report.schema_version);
    }
    let rows: Vec<Vec<String>> = report
        .findings
        .iter()
        .map(|finding| {
            let change = finding.change().as_str_name().trim_start_matches("DRIFT_CHANGE_").to_lowercase();
            let kind = finding.kind().as_str_name().trim_start_matches("DRIFT_OBJECT_KIND_").to_lowercase();
            let difference = match (finding.expected.is_empty(), finding.actual.is_empty()) {
                (false, false) => format!("{} instead of {}", finding.actual, finding.expected),
                _ => String::new(),
            };
            vec![change, kind, finding.name.clone(), difference]
        })
        .collect();
    format!("{}: {} differences from {}\n{}", report.name, report.finding_count, report.schema_version, table(&rows))
}

//! What the servers have beside what the records say.

use anyhow::Context as _;
use clap::Args;
use tenantry_api::migrator::v1::{
    DatabaseOnServer, Finding, FindingKind, RepairAction, RepairRequest, RepairState, SurveyReport, SurveyRequest,
};

use super::connection::Session;
use super::exit::Exit;
use super::output::{Output, table};

const PREFIX: &str = "FINDING_KIND_";

#[derive(Args)]
pub struct Reconcile {
    /// Only this server; may be repeated.
    #[arg(long, value_name = "NAME")]
    server: Vec<String>,

    /// Mends what can be mended without taking anybody's data away.
    #[arg(long)]
    repair: bool,

    /// Mends findings of this kind only, such as role_without_database; may be repeated.
    #[arg(long, value_name = "KIND", requires = "repair")]
    kind: Vec<String>,

    /// Drops a database that is found to be without a company, for good; may be repeated.
    #[arg(long, value_name = "SERVER/NAME")]
    drop: Vec<String>,

    /// Confirms --drop.
    #[arg(long, requires = "drop")]
    force: bool,

    /// Says what would be mended or dropped, and does nothing.
    #[arg(long)]
    dry_run: bool,

    /// For how long work must have been at a standstill to count as cut short, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(..=30 * 24 * 60 * 60))]
    min_age_s: Option<u32>,
}

impl Reconcile {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        let min_age = self.min_age_s.map(|seconds| prost_types::Duration { seconds: seconds.into(), nanos: 0 });
        let mut client = session.reconciliation();
        let report = if self.repair || !self.drop.is_empty() {
            let kinds = self.kind.iter().map(|kind| parse_kind(kind)).collect::<anyhow::Result<_>>()?;
            let drop_databases = self.drop.iter().map(|named| parse_database(named)).collect::<anyhow::Result<_>>()?;
            let request = RepairRequest {
                servers: self.server,
                min_age,
                kinds,
                drop_databases,
                force: self.force,
                validate_only: self.dry_run,
            };
            client.repair(session.request(request)?).await?.into_inner()
        } else {
            client.survey(session.request(SurveyRequest { servers: self.server, min_age })?).await?.into_inner()
        };
        output.answer("tenantry.migrator.v1.SurveyReport", &report, text)?;
        Ok(exit(&report))
    }
}

/// What stays of the findings, but names that nobody knows: those may well be somebody else's.
fn exit(report: &SurveyReport) -> Exit {
    let blind = |of: &Finding| matches!(of.kind(), FindingKind::ServerUnreachable | FindingKind::CatalogUnreachable);
    let is_left = |of: &Finding| {
        of.kind() != FindingKind::Unrecognized && !matches!(of.state(), RepairState::Done | RepairState::Gone)
    };
    let unlisted = usize::try_from(report.finding_count).unwrap_or_default() > report.findings.len();
    if report.findings.iter().any(blind) {
        Exit::Unreachable
    } else if report.findings.iter().any(|of| of.state() == RepairState::Failed) {
        Exit::Partly
    } else if unlisted || report.findings.iter().any(is_left) {
        Exit::Differs
    } else {
        Exit::Done
    }
}

fn parse_kind(text: &str) -> anyhow::Result<i32> {
    let name = format!("{PREFIX}{}", text.to_uppercase().replace('-', "_"));
    let kind = FindingKind::from_str_name(&name).filter(|kind| *kind != FindingKind::Unspecified);
    Ok(kind.with_context(|| format!("{text:?} is no kind of finding"))?.into())
}

fn parse_database(text: &str) -> anyhow::Result<DatabaseOnServer> {
    let (server, name) = text.split_once('/').with_context(|| format!("write {text:?} as SERVER/NAME"))?;
    Ok(DatabaseOnServer { server: server.to_owned(), name: name.to_owned() })
}

fn text(report: &SurveyReport) -> String {
    let servers = report.servers.join(", ");
    let head = format!(
        "{} databases and {} login roles on {}; {} findings",
        report.database_count,
        report.role_count,
        if servers.is_empty() { "no server" } else { &servers },
        report.finding_count
    );
    if report.findings.is_empty() {
        return head;
    }
    let mut rows = vec![["finding", "server", "name", "company", "repair", ""].map(str::to_owned).to_vec()];
    rows.extend(report.findings.iter().map(|finding| {
        let kind = finding.kind().as_str_name().trim_start_matches(PREFIX).to_lowercase();
        let (server, name, company) = (finding.server.clone(), finding.name.clone(), finding.company_id.clone());
        vec![kind, server, name, company, repair(finding), finding.detail.clone()]
    }));
    format!("{head}\n\n{}", table(&rows))
}

fn repair(finding: &Finding) -> String {
    let action = match finding.action() {
        RepairAction::Unspecified => "-".to_owned(),
        RepairAction::DropNamedDatabase => "--drop".to_owned(),
        action => action.as_str_name().trim_start_matches("REPAIR_ACTION_").to_lowercase(),
    };
    match finding.state() {
        RepairState::Unspecified => action,
        RepairState::Planned => format!("would {action}"),
        RepairState::Done => "done".to_owned(),
        RepairState::Gone => "gone".to_owned(),
        RepairState::Failed => format!("failed: {}", finding.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(findings: &[(FindingKind, RepairState)]) -> SurveyReport {
        let finding = |(kind, state): &(FindingKind, RepairState)| Finding {
            kind: (*kind).into(),
            state: (*state).into(),
            ..Default::default()
        };
        let findings: Vec<_> = findings.iter().map(finding).collect();
        SurveyReport { finding_count: findings.len().try_into().unwrap_or(i32::MAX), findings, ..Default::default() }
    }

    #[test]
    fn the_exit_code_says_what_is_left() {
        use FindingKind::{Leftover, ServerUnreachable};
        assert_eq!(exit(&report(&[])), Exit::Done);
        assert_eq!(exit(&report(&[(Leftover, RepairState::Done), (Leftover, RepairState::Gone)])), Exit::Done);
        assert_eq!(
            exit(&report(&[(Leftover, RepairState::Done), (Leftover, RepairState::Unspecified)])),
            Exit::Differs
        );
        assert_eq!(exit(&report(&[(Leftover, RepairState::Planned)])), Exit::Differs);
        assert_eq!(exit(&report(&[(Leftover, RepairState::Failed)])), Exit::Partly);
        assert_eq!(exit(&report(&[(ServerUnreachable, RepairState::Unspecified)])), Exit::Unreachable);
        assert_eq!(exit(&report(&[(FindingKind::Unrecognized, RepairState::Unspecified)])), Exit::Done);
        let unlisted = SurveyReport { finding_count: 1, ..Default::default() };
        assert_eq!(exit(&unlisted), Exit::Differs);
    }

    #[test]
    fn kinds_and_databases_are_named_as_they_are_shown() {
        assert_eq!(parse_kind("half-made-role").ok(), Some(FindingKind::HalfMadeRole.into()));
        assert!(parse_kind("unspecified").is_err() && parse_kind("nothing").is_err());
        let named = parse_database("main/tnt_x").expect("a database");
        assert_eq!((named.server.as_str(), named.name.as_str()), ("main", "tnt_x"));
        assert!(parse_database("tnt_x").is_err());
    }
}

//! What the servers have beside what the records say: found, and mended when told to.
//!
//! `facts` reads everything in an order that makes a race look harmless, `judge` says what of it is a mess, `repair`
//! mends it, each thing checked again under the lock that creating and dropping take.

mod facts;
mod finding;
mod judge;
mod names;
mod repair;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tenantry_rpc::Error;

pub(crate) use self::finding::{Action, Finding, Kind, Outcome};
pub(crate) use self::repair::{Order, repair};
use super::App;
use facts::Facts;
use names::Name;

/// As the contract says.
pub(crate) const MOST_FINDINGS: usize = 1_000;

/// What is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// Empty: every server.
    pub(crate) servers: Vec<String>,
    pub(crate) min_age: Duration,
}

/// What was found.
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    pub(crate) total: usize,
    /// Those that answered.
    pub(crate) servers: Vec<String>,
    pub(crate) databases: usize,
    pub(crate) roles: usize,
    pub(crate) at: DateTime<Utc>,
}

/// Looks, and changes nothing.
pub(crate) async fn survey(app: &Arc<App>, scope: &Scope) -> Result<Report, Error> {
    let mut report = look(app, scope).await?;
    report.findings.truncate(MOST_FINDINGS);
    Ok(report)
}

/// Every finding.
async fn look(app: &Arc<App>, scope: &Scope) -> Result<Report, Error> {
    let mut servers: Vec<String> = match scope.servers.as_slice() {
        [] => app.servers.names().map(str::to_owned).collect(),
        some => some.to_vec(),
    };
    servers.sort();
    servers.dedup();
    for server in &servers {
        app.servers.named(server)?;
    }
    let mut facts = Facts::gather(app, &servers, scope.min_age).await?;
    let mut findings = judge(app, &facts);
    let mut suspects: Vec<_> = findings.iter().filter_map(|finding| finding.company).collect();
    if !suspects.is_empty() {
        // What the catalog said was said before the rest was looked at.
        suspects.sort();
        suspects.dedup();
        facts.look_again(app, &suspects).await?;
        findings = judge(app, &facts);
        // A mess is one both times. Of other companies the catalog was asked before the rest of this look.
        findings.retain(|finding| finding.company.is_none_or(|company| suspects.binary_search(&company).is_ok()));
    }
    if scope.servers.is_empty() {
        let known: HashSet<_> = app.servers.names().collect();
        findings.extend(judge::not_configured(&facts, &known).into_iter().map(|(server, databases)| {
            let detail = format!("{databases} databases of companies are there; give the migrator --database-server");
            Finding::new(Kind::ServerNotConfigured, server, "", detail)
        }));
    }
    let is_away = |server: &str| {
        findings.iter().any(|finding| finding.kind == Kind::ServerUnreachable && finding.server == server)
    };
    let seen = facts.servers.iter().filter_map(|(name, seen)| Some((name, seen.as_ref().ok()?)));
    let seen: Vec<_> = seen.filter(|(name, _)| !is_away(name)).collect();
    let mut report =
        Report { total: findings.len(), findings, servers: Vec::new(), databases: 0, roles: 0, at: facts.now };
    for (name, seen) in seen {
        let adopted =
            |database: &str| facts.rows.claims.values().any(|claim| claim.server == *name && claim.name == database);
        let is_ours = |database: &&String| match Name::read(&app.prefix, database) {
            Name::First => true,
            Name::Foreign | Name::Unknown => adopted(database),
            Name::Second(_) | Name::Shared | Name::Template | Name::Scratch => false,
        };
        let is_login = |role: &&String| matches!(Name::read(&app.prefix, role), Name::First | Name::Second(_));
        report.servers.push(name.clone());
        report.databases += seen.after.databases.keys().filter(is_ours).count();
        report.roles += seen.after.roles.keys().filter(is_login).count();
    }
    Ok(report)
}

fn judge(app: &App, facts: &Facts) -> Vec<Finding> {
    judge::judge(facts, &app.prefix, &app.settings.control_databases)
}

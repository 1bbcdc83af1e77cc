//! What of the facts is a mess: a pure function.

mod records;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};

use tenantry_api::catalog::v1::{CompanyState, Tenant};
use tenantry_ids::CompanyId;

use super::facts::{Facts, Rows, Seen};
use super::finding::{Action, Finding, Kind};
use super::names::Name;
use crate::ident::{Ident, Logins, Prefix};
use crate::store::claims::{Claim, ClaimState};
use crate::store::spares::Spare;

/// What is known of a company.
enum Company<'f> {
    /// The catalog is away.
    Unknown,
    /// There is none, or it is purged.
    Gone,
    There(&'f Tenant),
}

/// The findings, each once, by server, kind and name.
pub(super) fn judge(facts: &Facts, prefix: &Prefix, control: &[String]) -> Vec<Finding> {
    let view = View::of(facts, prefix, control);
    let mut findings = Vec::new();
    if facts.fleet.is_none() {
        let detail = "the catalog does not answer; what it alone knows is not judged";
        findings.push(Finding::new(Kind::CatalogUnreachable, "", "", detail));
    }
    for (server, seen) in &facts.servers {
        match seen {
            Ok(seen) if seen.after.is_nowhere && view.kept_on(server).any(|claim| claim.state == ClaimState::Ready) => {
                let detail = "the folder of its databases is not there; is its disk mounted?";
                findings.push(Finding::new(Kind::ServerUnreachable, server, "", detail));
            }
            Ok(seen) => {
                view.databases(server, seen, &mut findings);
                view.roles(server, seen, &mut findings);
                view.claims(server, seen, &mut findings);
                view.companies(server, seen, &mut findings);
                view.spares(server, seen, &mut findings);
            }
            Err(error) => {
                let detail = format!("the server cannot be looked at; nothing is known of what it has ({error})");
                findings.push(Finding::new(Kind::ServerUnreachable, server, "", detail));
            }
        }
    }
    view.leases(&mut findings);
    let key = |of: &Finding| (of.server.clone(), of.kind, of.name.clone(), of.company);
    findings.sort_by_cached_key(key);
    findings.dedup_by_key(|of| key(of));
    findings
}

/// The facts, by what they are looked up by.
struct View<'f> {
    facts: &'f Facts,
    prefix: &'f Prefix,
    control: &'f [String],
    /// The claims that stand, or did so a moment ago, on whichever server.
    kept: Vec<&'f Claim>,
    by_company: HashMap<CompanyId, &'f Claim>,
    kept_by_name: HashMap<&'f str, Vec<&'f Claim>>,
    /// Every role that somebody has or may get, on whichever server: two names may lead to one server.
    roles: HashSet<String>,
}

impl<'f> View<'f> {
    fn of(facts: &'f Facts, prefix: &'f Prefix, control: &'f [String]) -> Self {
        // What came or went in between is somebody's all the same.
        let is_kept = |claim: &&Claim| claim.state != ClaimState::Dropped;
        let mut by_id: HashMap<_, _> = facts.rows_before.claims.iter().filter(|(_, claim)| is_kept(claim)).collect();
        by_id.extend(facts.rows.claims.iter().filter(|(_, claim)| is_kept(claim)));
        let kept: Vec<_> = by_id.into_values().collect();
        let mut kept_by_name: HashMap<_, Vec<_>> = HashMap::new();
        for claim in &kept {
            kept_by_name.entry(claim.name.as_str()).or_default().push(*claim);
        }
        let of_claims = kept.iter().filter_map(|claim| logins(prefix, claim));
        let of_spares = all_spares(facts).map(|spare| spare.name.clone());
        let roles = of_claims.flat_map(|logins| logins.both().map(|role| role.as_str().to_owned())).chain(of_spares);
        let by_company = kept.iter().map(|claim| (claim.company_id, *claim)).collect();
        Self { facts, prefix, control, kept_by_name, by_company, roles: roles.collect(), kept }
    }

    fn company(&self, id: CompanyId) -> Company<'f> {
        match &self.facts.fleet {
            None => Company::Unknown,
            Some(fleet) => match fleet.get(&id) {
                Some(tenant) if tenant.state() != CompanyState::Purged => Company::There(tenant),
                Some(_) | None => Company::Gone,
            },
        }
    }

    fn kept_on(&self, server: &str) -> impl Iterator<Item = &'f Claim> {
        self.kept.iter().copied().filter(move |claim| claim.server == server)
    }

    fn tenants_on(&self, server: &str) -> impl Iterator<Item = (CompanyId, &'f Tenant)> {
        let tenants = self.facts.fleet.iter().flatten().map(|(id, tenant)| (*id, tenant));
        tenants.filter(move |(_, tenant)| tenant.server == server && tenant.state() != CompanyState::Purged)
    }

    fn databases(&self, server: &str, seen: &Seen, findings: &mut Vec<Finding>) {
        let by_catalog: HashMap<_, _> = self.tenants_on(server).map(|(id, of)| (of.database.as_str(), id)).collect();
        for name in seen.before.databases.keys().filter(|name| seen.has_database(name)) {
            if self.control.contains(name) {
                continue;
            }
            let claims = self.kept_by_name.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
            if let Some(claim) = claims.iter().find(|claim| claim.server == server) {
                findings.extend(self.claimed(claim).filter(|_| self.is_steady(claim)));
                continue;
            }
            match Name::read(self.prefix, name) {
                Name::First => {}
                // Also one that was finished in between.
                Name::Template if seen.after.databases.get(name).is_some_and(|found| found.is_template) => continue,
                Name::Scratch | Name::Template => {
                    findings.extend(leftover(server, seen, name));
                    continue;
                }
                Name::Foreign => continue,
                Name::Second(_) | Name::Shared | Name::Unknown => {
                    findings.push(unrecognized(server, name, "database"));
                    continue;
                }
            }
            if all_spares(self.facts).any(|spare| spare.name == *name) || self.facts.fleet.is_none() {
                continue;
            }
            let tombstone = self.tombstone(server, name);
            findings.push(match (by_catalog.get(name.as_str()), claims.first()) {
                (Some(company), _) => without_claim(server, name, *company),
                (None, Some(elsewhere)) => {
                    let detail = format!(
                        "the company's database of this name is on {:?}: this one is a copy, or both names lead to one \
                         server; it is never dropped here",
                        elsewhere.server
                    );
                    Finding::new(Kind::DatabaseWithoutCompany, server, name, detail).of(Some(elsewhere.company_id))
                }
                (None, None) => {
                    let whose = match tombstone {
                        Some(_) => "the company's database was dropped, and this one is there again",
                        None => "no company has this database, and nothing says whose it was",
                    };
                    let detail = format!("{whose}; adopt it for a company, or drop it by its name");
                    Finding::new(Kind::DatabaseWithoutCompany, server, name, detail)
                        .of(tombstone.map(|claim| claim.company_id))
                        .since(tombstone.map(|claim| claim.updated_at))
                        .mended_by(Action::DropNamedDatabase)
                }
            });
        }
    }

    /// A database that is there, with a claim.
    fn claimed(&self, claim: &Claim) -> Option<Finding> {
        match self.company(claim.company_id) {
            Company::Unknown | Company::There(_) => None,
            // It never became the company's, so it is not to go with it.
            Company::Gone if claim.adopting => {
                Some(closable(claim, "the company that was to adopt this database is gone"))
            }
            Company::Gone => {
                let detail = "the catalog does not have the company of this database; restore the catalog's, or drop \
                              the database by its name";
                let found = Finding::new(Kind::DatabaseWithoutCompany, &claim.server, &claim.name, detail);
                Some(
                    found.of(Some(claim.company_id)).since(Some(claim.updated_at)).mended_by(Action::DropNamedDatabase),
                )
            }
        }
    }

    /// Whether the claim was the same before; what has changed is under way.
    fn is_steady(&self, claim: &Claim) -> bool {
        let same = |rows: &Rows| {
            let seen = rows.claims.get(&claim.database_id);
            seen.is_some_and(|seen| seen.state == claim.state && seen.slot() == claim.slot())
        };
        same(&self.facts.rows_before) && same(&self.facts.rows)
    }

    fn tombstone(&self, server: &str, name: &str) -> Option<&'f Claim> {
        let dropped =
            |claim: &&Claim| claim.server == server && claim.name == name && claim.state == ClaimState::Dropped;
        self.facts.rows.claims.values().find(dropped)
    }

    fn roles(&self, server: &str, seen: &Seen, findings: &mut Vec<Finding>) {
        for (name, role) in seen.before.roles.iter().filter(|(name, _)| seen.after.roles.contains_key(*name)) {
            let first = match Name::read(self.prefix, name) {
                Name::Foreign | Name::Shared => continue,
                Name::Scratch => {
                    findings.extend(leftover(server, seen, name).filter(|_| !seen.has_database(name)));
                    continue;
                }
                Name::Template | Name::Unknown => {
                    findings.push(unrecognized(server, name, "role"));
                    continue;
                }
                Name::First => name.as_str(),
                Name::Second(kept) => kept,
            };
            // The role of a database that is there goes with it, whosever it is.
            let has_database = seen.before.databases.keys().any(|database| database.ends_with(first))
                || role.reaches.iter().any(|database| seen.before.databases.contains_key(database));
            if self.roles.contains(name) || has_database || self.facts.fleet.is_none() {
                continue;
            }
            let is_of = |claim: &&Claim| claim.role.as_deref().is_some_and(|role| role.ends_with(first));
            let tombstone = self.facts.rows.claims.values().find(is_of);
            let detail = "the database of this login role is gone, and nobody gets another by it";
            let found = Finding::new(Kind::RoleWithoutDatabase, server, name, detail).mended_by(Action::DropRole);
            findings
                .push(found.of(tombstone.map(|claim| claim.company_id)).since(tombstone.map(|claim| claim.updated_at)));
        }
    }
}

/// Spares that are there, or were a moment ago.
fn all_spares(facts: &Facts) -> impl Iterator<Item = &Spare> {
    facts.rows.spares.values().chain(facts.rows_before.spares.values())
}

fn logins(prefix: &Prefix, claim: &Claim) -> Option<Logins> {
    prefix.logins(Ident::new(claim.role.as_deref()?).ok()?).ok()
}

fn leftover(server: &str, seen: &Seen, name: &str) -> Option<Finding> {
    let detail = "made for a piece of work that was cut short; nobody holds it";
    let found = Finding::new(Kind::Leftover, server, name, detail).mended_by(Action::DropLeftover);
    seen.unheld.contains(name).then_some(found)
}

fn unrecognized(server: &str, name: &str, what: &str) -> Finding {
    let detail = format!("this {what}'s name begins as the migrator's do, and it is none of them; it is left alone");
    Finding::new(Kind::Unrecognized, server, name, detail)
}

fn without_claim(server: &str, name: &str, company: CompanyId) -> Finding {
    let detail = "the catalog has this database for the company, and the migrator has no record of it; restore the \
                  migrator's own database from a backup";
    Finding::new(Kind::DatabaseWithoutClaim, server, name, detail).of(Some(company))
}

fn closable(claim: &Claim, detail: &str) -> Finding {
    let found = Finding::new(Kind::ClaimWithoutCompany, &claim.server, &claim.name, detail);
    found.of(Some(claim.company_id)).since(Some(claim.updated_at)).mended_by(Action::CloseClaim)
}

/// Claims on servers that this migrator does not know, by server.
pub(super) fn not_configured<'f>(facts: &'f Facts, known: &HashSet<&str>) -> BTreeMap<&'f str, usize> {
    let mut servers = BTreeMap::new();
    for claim in facts.rows.claims.values().filter(|claim| claim.state != ClaimState::Dropped) {
        if !known.contains(claim.server.as_str()) {
            *servers.entry(claim.server.as_str()).or_default() += 1;
        }
    }
    servers
}

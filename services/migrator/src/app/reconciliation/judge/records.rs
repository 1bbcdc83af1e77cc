//! Of the records, what is not as they say.

use tenantry_api::catalog::v1::{CompanyState, Tenant};

use super::super::facts::Seen;
use super::super::finding::{Action, Finding, Kind};
use super::{Company, View, closable, logins, without_claim};
use crate::ident::Slot;
use crate::store::claims::{Claim, ClaimState};
use crate::store::spares::SpareState;

impl View<'_> {
    pub(super) fn claims(&self, server: &str, seen: &Seen, findings: &mut Vec<Finding>) {
        for claim in self.kept_on(server) {
            if !self.is_steady(claim) {
                continue;
            }
            let is_missing = !seen.after.databases.contains_key(&claim.name);
            let stands_still = claim.updated_at < self.facts.standstill;
            match (claim.state, self.company(claim.company_id)) {
                (_, Company::Gone) if is_missing => {
                    let detail = "neither the database nor its company is there; its record can be closed";
                    findings.push(closable(claim, detail));
                }
                (_, Company::Gone) => {}
                (ClaimState::Ready, _) if is_missing => findings.push(missing(claim)),
                (ClaimState::Ready, _) => findings.extend(self.role_of(claim, seen).filter(|_| stands_still)),
                (ClaimState::Creating | ClaimState::Dropping, company) if stands_still => {
                    findings.push(half_made(claim, &company));
                }
                (ClaimState::Creating | ClaimState::Dropping | ClaimState::Dropped, _) => {}
            }
        }
    }

    /// What is wrong with the login role that is in use.
    fn role_of(&self, claim: &Claim, seen: &Seen) -> Option<Finding> {
        let logins = logins(self.prefix, claim).filter(|_| seen.has_roles)?;
        let name = logins.at(claim.slot()).as_str();
        let found = |kind, detail: &str| {
            Finding::new(kind, &claim.server, name, detail).of(Some(claim.company_id)).since(Some(claim.updated_at))
        };
        let Some(role) = seen.after.roles.get(name) else {
            let other = if claim.slot() == Slot::First { "second" } else { "first" };
            let detail = format!(
                "the login role of database {} is gone with its password; RotateDatabaseCredential makes the {other} one",
                claim.name
            );
            let is_gone = !seen.before.roles.contains_key(name);
            return is_gone.then(|| found(Kind::DatabaseWithoutRole, &detail));
        };
        let is_whole = role.may_log_in && role.has_rights && role.reaches.contains(&claim.name);
        let detail = format!("the login role of database {} cannot log in, or lacks its rights", claim.name);
        (!is_whole).then(|| found(Kind::HalfMadeRole, &detail).mended_by(Action::RestoreRole))
    }

    /// What the catalog knows, and the migrator does not.
    pub(super) fn companies(&self, server: &str, seen: &Seen, findings: &mut Vec<Finding>) {
        for (id, tenant) in self.tenants_on(server) {
            if let Some(until) = lease_end(tenant).filter(|until| *until < self.facts.standstill) {
                let detail = "nobody goes on with the company's steps; a catalog that serves does so by itself";
                findings.push(
                    Finding::new(Kind::StaleLease, server, &tenant.database, detail).of(Some(id)).since(Some(until)),
                );
            }
            if tenant.database.is_empty() || !is_served(tenant) || self.by_company.contains_key(&id) {
                continue;
            }
            findings.push(match seen.has_database(&tenant.database) {
                true => without_claim(server, &tenant.database, id),
                false if seen.after.databases.contains_key(&tenant.database) => continue,
                false => {
                    let detail = "neither the server nor the migrator's records have the company's database; restore both \
                                  from a backup, or purge the company";
                    Finding::new(Kind::CompanyWithoutDatabase, server, &tenant.database, detail).of(Some(id))
                }
            });
        }
    }

    pub(super) fn spares(&self, server: &str, seen: &Seen, findings: &mut Vec<Finding>) {
        for spare in self.facts.rows.spares.values().filter(|spare| spare.server == server) {
            let before = self.facts.rows_before.spares.get(&spare.id);
            if !before.is_some_and(|before| before.state == spare.state && before.lease_until == spare.lease_until) {
                continue;
            }
            let found = |kind, since, detail| {
                let found = Finding::new(kind, server, &spare.name, detail).since(Some(since));
                found.mended_by(Action::DropSpare)
            };
            let (databases, roles) = (&seen.after.databases, &seen.after.roles);
            let is_whole = databases.contains_key(&spare.name) && (!seen.has_roles || roles.contains_key(&spare.name));
            match spare.state {
                SpareState::Ready if !is_whole => {
                    let detail = "the next company is to get this database, and it or its role is not there";
                    findings.push(found(Kind::SpareWithoutDatabase, spare.created_at, detail));
                }
                SpareState::Making | SpareState::Dropping if spare.lease_until < self.facts.standstill => {
                    let detail = "whoever made or dropped this spare is gone";
                    findings.push(found(Kind::StaleLease, spare.lease_until, detail));
                }
                SpareState::Ready | SpareState::Making | SpareState::Dropping => {}
            }
        }
    }

    pub(super) fn leases(&self, findings: &mut Vec<Finding>) {
        for target in self.facts.leases.iter().filter(|of| self.facts.servers.contains_key(&of.server)) {
            let detail = format!(
                "whoever migrated this database is gone; a migrator goes on with rollout {} once it is resumed",
                target.rollout_id
            );
            let found = Finding::new(Kind::StaleLease, &target.server, &target.database_name, detail);
            findings.push(found.of(Some(target.company_id)).since(target.lease_until));
        }
    }
}

/// Whether the company has, or can get back, a database that it works with.
fn is_served(tenant: &Tenant) -> bool {
    match tenant.state() {
        CompanyState::Active | CompanyState::Suspended | CompanyState::Maintenance => true,
        CompanyState::Deleted => !tenant.purge_begun,
        CompanyState::Unspecified | CompanyState::Provisioning | CompanyState::Failed | CompanyState::Purged => false,
    }
}

fn lease_end(tenant: &Tenant) -> Option<chrono::DateTime<chrono::Utc>> {
    let until = tenant.lease_expire_time.as_ref()?;
    chrono::DateTime::from_timestamp(until.seconds, u32::try_from(until.nanos).ok()?)
}

fn missing(claim: &Claim) -> Finding {
    let detail = "the company's database is not on its server; restore it from a backup, or purge the company";
    Finding::new(Kind::CompanyWithoutDatabase, &claim.server, &claim.name, detail).of(Some(claim.company_id))
}

fn half_made(claim: &Claim, company: &Company<'_>) -> Finding {
    let state = match company {
        Company::There(tenant) => tenant.state().as_str_name().trim_start_matches("COMPANY_STATE_").to_owned(),
        Company::Unknown | Company::Gone => "unknown".to_owned(),
    };
    let doing = if claim.state == ClaimState::Dropping { "dropping" } else { "making" };
    let detail = format!(
        "{doing} the database is at a standstill, with the company {state}; the catalog goes on while it has steps to \
         take, otherwise RetryProvisioning or PurgeCompany ends it"
    );
    let found = Finding::new(Kind::HalfMadeDatabase, &claim.server, &claim.name, detail);
    found.of(Some(claim.company_id)).since(Some(claim.updated_at))
}

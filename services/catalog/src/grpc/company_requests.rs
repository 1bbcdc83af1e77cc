//! What requests about companies ask for.

use std::collections::BTreeMap;

use tenantry_api::catalog::v1::{
    AdoptDatabase, Company, DeleteCompanyRequest, EnterMaintenanceRequest, GetCompanyRequest, ListCompaniesRequest,
    PurgeCompanyRequest, ResumeCompanyRequest, SuspendCompanyRequest, UpdateCompanyRequest,
};
use tenantry_api::migrator::v1::Adoption;
use tenantry_ids::CompanyId;
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Error, Violations};

use super::convert::state_of;
use super::plans::limits;
use crate::app::companies::{self, Filter, Traits, Wanted};
use crate::app::lifecycle::Ask;
use crate::app::updates::Changes;
use crate::domain::{Action, CompanyName, Labels, Selector, Slug};

const MAX_REASON_CHARS: usize = 500;
/// Of plan and region.
const MAX_WORD_CHARS: usize = 63;
/// Of a migration's name.
const MAX_VERSION_CHARS: usize = 100;
const DEFAULT_RETRY_S: i32 = 30;
const MAX_RETRY_S: i32 = 86_400;
const MAX_STATES: usize = 16;

/// The fields that a mask can name.
const FIELDS: [&str; 6] = ["name", "slug", "labels", "plan", "region", "limits"];

pub(super) fn wanted(body: GetCompanyRequest) -> Result<Wanted, Error> {
    let mut violations = Violations::new();
    let wanted = match (body.id.as_str(), body.slug.as_str()) {
        (id, "") => violations.parse("id", id).map(Wanted::Id),
        ("", slug) => Some(Wanted::Slug(Slug::parse(&mut violations, "slug", slug).as_str().to_owned())),
        _ => {
            violations.add("slug", "must be empty where id is given");
            None
        }
    };
    violations.finish(wanted)
}

/// What an operator says of a new company.
pub(super) fn traits(
    violations: &mut Violations,
    labels: BTreeMap<String, String>,
    plan: &str,
    region: &str,
) -> Traits {
    Traits {
        labels: Labels::parse(violations, "labels", labels),
        plan: violations.optional_text("plan", plan, MAX_WORD_CHARS),
        region: violations.optional_text("region", region, MAX_WORD_CHARS),
    }
}

/// A database that is there already: on a server that is named too.
pub(super) fn adoption(violations: &mut Violations, wanted: Option<AdoptDatabase>, server: &str) -> Option<Adoption> {
    let AdoptDatabase { name, baseline_version } = wanted?;
    violations.check(!server.is_empty(), "database_server", "must name the server of adopt_database");
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_name = (1..=MAX_WORD_CHARS).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(plain);
    let description = "must be 1 to 63 of a-z, 0-9 and _, starting with a letter";
    violations.check(is_name, "adopt_database.name", description);
    let at = "adopt_database.baseline_version";
    let baseline_version = violations.optional_text(at, &baseline_version, MAX_VERSION_CHARS);
    Some(Adoption { name, baseline_version })
}

pub(super) fn list(body: ListCompaniesRequest) -> Result<(Filter, Page), Error> {
    let mut violations = Violations::new();
    let page = Page::parse(&mut violations, companies::LIST, body.page_size, &body.page_token);
    let states: Vec<_> = body.states.iter().filter_map(|state| state_of(*state)).collect();
    let known = states.len() == body.states.len() && states.len() <= MAX_STATES;
    violations.check(known, "states", "must be states of companies");
    let labels = Selector::parse_all(&mut violations, "labels", &body.labels);
    let server = violations.optional_text("database_server", &body.database_server, MAX_WORD_CHARS);
    violations.finish(Some((Filter { states, labels, server }, page)))
}

/// A field that is not in the mask is not checked: it is not written.
pub(super) fn update(body: UpdateCompanyRequest) -> Result<(CompanyId, Option<i64>, Changes), Error> {
    let mut violations = Violations::new();
    let company = body.company.unwrap_or_default();
    let fields = masked(&mut violations, body.update_mask.unwrap_or_default().paths, &company);
    let named = |field: &str| fields.iter().any(|path| path == field);
    let id = violations.parse("company.id", &company.id);
    let revision = violations.etag("company.etag", &company.etag);
    let name = named("name").then(|| CompanyName::parse(&mut violations, "company.name", &company.name));
    let slug = named("slug").then(|| Slug::parse(&mut violations, "company.slug", &company.slug));
    let mut word = |field: &str, text: &str| {
        let field = named(field).then(|| format!("company.{field}"))?;
        Some(violations.optional_text(&field, text, MAX_WORD_CHARS))
    };
    let (plan, region) = (word("plan", &company.plan), word("region", &company.region));
    let labels = named("labels").then(|| Labels::parse(&mut violations, "company.labels", company.labels));
    let limits = named("limits").then(|| limits(&mut violations, "company.limits", company.limits));
    let id = violations.finish(id)?;
    Ok((id, revision, Changes { name, slug, labels, plan, region, limits }))
}

/// The fields that a mask names (AIP-134): an empty one names every field that is
/// set, `*` names all.
fn masked(violations: &mut Violations, paths: Vec<String>, company: &Company) -> Vec<String> {
    let owned = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect();
    if paths.iter().any(|path| path == "*") {
        return owned(&FIELDS);
    }
    if paths.is_empty() {
        let Company { name, slug, labels, plan, region, limits, .. } = company;
        let set = [name, slug, plan, region].map(|text| !text.is_empty());
        let set = [set[0], set[1], !labels.is_empty(), set[2], set[3], limits.is_some()];
        return owned(&FIELDS.into_iter().zip(set).filter_map(|(field, set)| set.then_some(field)).collect::<Vec<_>>());
    }
    for path in paths.iter().filter(|path| !FIELDS.contains(&path.as_str())) {
        violations.add("update_mask", format!("{path:?} is no field that can be changed"));
    }
    paths
}

pub(super) fn suspend(body: SuspendCompanyRequest) -> Result<(CompanyId, Ask), Error> {
    let mut violations = Violations::new();
    let id = violations.parse("id", &body.id);
    let reason = violations.text("reason", &body.reason, MAX_REASON_CHARS);
    Ok((violations.finish(id)?, Ask { reason, ..Ask::to(Action::Suspend) }))
}

pub(super) fn resume(body: ResumeCompanyRequest) -> Result<(CompanyId, Ask), Error> {
    let mut violations = Violations::new();
    let id = violations.parse("id", &body.id);
    let reason = violations.optional_text("reason", &body.reason, MAX_REASON_CHARS);
    Ok((violations.finish(id)?, Ask { reason, ..Ask::to(Action::Resume) }))
}

pub(super) fn enter_maintenance(body: EnterMaintenanceRequest) -> Result<(CompanyId, Ask), Error> {
    let mut violations = Violations::new();
    let id = violations.parse("id", &body.id);
    let reason = violations.text("reason", &body.reason, MAX_REASON_CHARS);
    let fits = (0..=MAX_RETRY_S).contains(&body.retry_seconds);
    violations.check(fits, "retry_seconds", "must be 1 to 86,400, or 0");
    let retry_s = if body.retry_seconds == 0 { DEFAULT_RETRY_S } else { body.retry_seconds };
    let ask = Ask { reason, retry_s: Some(retry_s), ..Ask::to(Action::EnterMaintenance) };
    Ok((violations.finish(id)?, ask))
}

pub(super) fn delete(body: DeleteCompanyRequest) -> Result<(CompanyId, Ask), Error> {
    let mut violations = Violations::new();
    let id = violations.parse("id", &body.id);
    let revision = violations.etag("etag", &body.etag);
    Ok((violations.finish(id)?, Ask { revision, validate_only: body.validate_only, ..Ask::to(Action::Delete) }))
}

pub(super) fn purge(body: PurgeCompanyRequest) -> Result<(CompanyId, Ask), Error> {
    let mut violations = Violations::new();
    let id = violations.parse("id", &body.id);
    let revision = violations.etag("etag", &body.etag);
    let PurgeCompanyRequest { validate_only, force, .. } = body;
    Ok((violations.finish(id)?, Ask { revision, validate_only, force, ..Ask::to(Action::BeginPurge) }))
}

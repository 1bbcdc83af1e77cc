//! What is seen in the middle of something, and what stays.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use tenantry_ids::DatabaseId;
use uuid::Uuid;

use super::super::facts::Rows;
use super::*;
use crate::servers::{FoundDatabase, FoundRole, Inventory};
use crate::store::spares::SpareState;

const SERVER: &str = "main";

fn prefix() -> Prefix {
    "tnt_".parse().expect("a prefix")
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

/// A database's id and name.
fn database(number: u128) -> (DatabaseId, String) {
    let id = DatabaseId(Uuid::from_u128(number));
    (id, prefix().database(id).expect("a name").as_str().to_owned())
}

fn claim(number: u128, state: ClaimState) -> Claim {
    let (database_id, name) = database(number);
    Claim {
        database_id,
        company_id: CompanyId(Uuid::from_u128(number)),
        server: SERVER.to_owned(),
        role: Some(name.clone()),
        name,
        state,
        schema_version: None,
        seeded_at: None,
        created_at: now() - TimeDelta::days(1),
        updated_at: now() - TimeDelta::days(1),
        version_sequence: 0,
        reported_sequence: 0,
        failed_rollout: None,
        credential_slot: 0,
        credential_generation: 0,
        adopting: false,
    }
}

fn tenant(number: u128, state: CompanyState) -> (CompanyId, Tenant) {
    let (id, database) = (CompanyId(Uuid::from_u128(number)), database(number).1);
    let tenant = Tenant { state: state.into(), server: SERVER.to_owned(), database, ..Default::default() };
    (id, tenant)
}

fn inventory(numbers: &[u128]) -> Inventory {
    let role =
        |name: &String| FoundRole { may_log_in: true, has_rights: true, reaches: BTreeSet::from([name.clone()]) };
    let names: Vec<_> = numbers.iter().map(|number| database(*number).1).collect();
    Inventory {
        is_nowhere: false,
        databases: names.iter().map(|name| (name.clone(), FoundDatabase::default())).collect(),
        roles: names.iter().map(|name| (name.clone(), role(name))).collect(),
    }
}

/// A server with these databases, each with its role, and what the records say of them.
fn facts(there: &[u128], claims: &[Claim], tenants: &[(CompanyId, Tenant)]) -> Facts {
    let rows = || Rows {
        spares: HashMap::new(),
        claims: claims.iter().map(|claim| (claim.database_id, claim.clone())).collect(),
    };
    let (before, after) = (inventory(there), inventory(there));
    let seen = Seen { has_roles: true, before, after, unheld: BTreeSet::new() };
    Facts {
        now: now(),
        standstill: now() - TimeDelta::minutes(10),
        servers: BTreeMap::from([(SERVER.to_owned(), Ok(seen))]),
        fleet: Some(tenants.iter().cloned().collect()),
        rows: rows(),
        rows_before: rows(),
        leases: Vec::new(),
    }
}

fn seen(facts: &mut Facts) -> &mut Seen {
    facts.servers.get_mut(SERVER).expect("the server").as_mut().expect("an answer")
}

fn kinds(facts: &Facts) -> Vec<(Kind, String)> {
    judge(facts, &prefix(), &["tnt_central".to_owned()])
        .into_iter()
        .map(|finding| (finding.kind, finding.name))
        .collect()
}

fn named(kind: Kind, number: u128) -> (Kind, String) {
    (kind, database(number).1)
}

#[test]
fn what_comes_or_goes_in_between_is_no_finding() {
    let healthy = facts(&[1], &[claim(1, ClaimState::Ready)], &[tenant(1, CompanyState::Active)]);
    assert_eq!(kinds(&healthy), []);

    // A database whose row went after it, and one that came with its row.
    let mut passing = facts(&[1, 2], &[], &[]);
    seen(&mut passing).after = inventory(&[2]);
    let coming = claim(2, ClaimState::Creating);
    passing.rows.claims.insert(coming.database_id, Claim { updated_at: now(), ..coming });
    passing.fleet = Some(HashMap::from([tenant(2, CompanyState::Provisioning)]));
    assert_eq!(kinds(&passing), []);

    // A drop that ends while it is looked.
    let mut ending = facts(&[], &[claim(1, ClaimState::Dropped)], &[]);
    let before = claim(1, ClaimState::Ready);
    ending.rows_before.claims.insert(before.database_id, before);
    assert_eq!(kinds(&ending), []);

    // One of which the listing is older than its end.
    let mut ended = facts(&[1], &[claim(1, ClaimState::Dropped)], &[tenant(1, CompanyState::Purged)]);
    let before = claim(1, ClaimState::Dropping);
    ended.rows_before.claims.insert(before.database_id, before);
    assert_eq!(kinds(&ended), []);

    // A template that is finished, and its lock free, while it is looked.
    let mut making = facts(&[], &[], &[]);
    let template = "tnt_template_0f".to_owned();
    let at = seen(&mut making);
    at.before.databases.insert(template.clone(), FoundDatabase { is_template: false });
    at.after.databases.insert(template.clone(), FoundDatabase { is_template: true });
    at.unheld.insert(template.clone());
    assert_eq!(kinds(&making), []);
    seen(&mut making).after.databases.insert(template.clone(), FoundDatabase { is_template: false });
    assert_eq!(kinds(&making), [(Kind::Leftover, template)]);

    // A spare that became a company's.
    let mut taken = facts(&[3], &[claim(3, ClaimState::Ready)], &[tenant(3, CompanyState::Active)]);
    taken.rows_before.claims.clear();
    assert_eq!(kinds(&taken), []);
}

#[test]
fn without_the_catalog_nothing_is_without_a_company() {
    let mut blind = facts(&[1, 2], &[claim(1, ClaimState::Ready)], &[]);
    seen(&mut blind).before.roles.extend(inventory(&[4]).roles);
    seen(&mut blind).after.roles.extend(inventory(&[4]).roles);
    blind.fleet = None;
    assert_eq!(kinds(&blind), [(Kind::CatalogUnreachable, String::new())]);
    blind.fleet = Some(HashMap::new());
    let found = [
        named(Kind::DatabaseWithoutCompany, 1),
        named(Kind::DatabaseWithoutCompany, 2),
        named(Kind::RoleWithoutDatabase, 4),
    ];
    assert_eq!(kinds(&blind), found);
}

#[test]
fn a_server_that_does_not_answer_has_lost_nothing() {
    let mut away = facts(&[], &[claim(1, ClaimState::Ready)], &[tenant(1, CompanyState::Active)]);
    assert_eq!(kinds(&away), [named(Kind::CompanyWithoutDatabase, 1)]);
    seen(&mut away).after.is_nowhere = true;
    assert_eq!(kinds(&away), [(Kind::ServerUnreachable, String::new())]);
    away.servers.insert(SERVER.to_owned(), Err("it is away".to_owned()));
    assert_eq!(kinds(&away), [(Kind::ServerUnreachable, String::new())]);
}

#[test]
fn what_somebody_may_own_is_never_droppable() {
    let droppable = |facts: &Facts| {
        let findings = judge(facts, &prefix(), &["tnt_central".to_owned()]);
        findings
            .into_iter()
            .filter(|of| of.action == Some(Action::DropNamedDatabase))
            .map(|of| of.name)
            .collect::<Vec<_>>()
    };
    // The migrator's record is lost, and the catalog's is not.
    let lost = facts(&[1], &[], &[tenant(1, CompanyState::Suspended)]);
    assert_eq!((droppable(&lost), kinds(&lost)), (vec![], vec![named(Kind::DatabaseWithoutClaim, 1)]));
    // Two names for one server.
    let mut twice = facts(&[1], &[claim(1, ClaimState::Ready)], &[tenant(1, CompanyState::Active)]);
    let again = Seen { has_roles: true, before: inventory(&[1]), after: inventory(&[1]), unheld: BTreeSet::new() };
    twice.servers.insert("again".to_owned(), Ok(again));
    assert_eq!((droppable(&twice), kinds(&twice)), (vec![], vec![named(Kind::DatabaseWithoutCompany, 1)]));
    // The control plane's, somebody's own, and one that was only to be adopted.
    let mut others = facts(&[], &[Claim { adopting: true, ..claim(1, ClaimState::Creating) }], &[]);
    for name in ["tnt_central", "tnt_private", "other", &database(1).1] {
        seen(&mut others).before.databases.insert(name.to_owned(), FoundDatabase::default());
        seen(&mut others).after.databases.insert(name.to_owned(), FoundDatabase::default());
    }
    let found = [named(Kind::ClaimWithoutCompany, 1), (Kind::Unrecognized, "tnt_private".to_owned())];
    assert_eq!((droppable(&others), kinds(&others)), (vec![], found.to_vec()));
    // Nobody's.
    assert_eq!(droppable(&facts(&[1], &[], &[])), [database(1).1]);
    assert_eq!(
        droppable(&facts(&[1], &[claim(1, ClaimState::Dropped)], &[tenant(1, CompanyState::Purged)])),
        [database(1).1]
    );
}

#[test]
fn a_role_of_another_deployment_is_kept_as_long_as_it_reaches_a_database() {
    let mut shared = facts(&[], &[], &[]);
    let mut roles = inventory(&[1, 2]).roles;
    roles.get_mut(&database(1).1).expect("a role").reaches = BTreeSet::from(["theirs".to_owned()]);
    let before = &mut seen(&mut shared).before;
    before.roles = roles.clone();
    before.databases.insert("theirs".to_owned(), FoundDatabase::default());
    seen(&mut shared).after.roles = roles;
    assert_eq!(kinds(&shared), [named(Kind::RoleWithoutDatabase, 2)]);
}

#[test]
fn only_a_standstill_is_a_mess() {
    let mut working = facts(&[1], &[claim(1, ClaimState::Creating)], &[tenant(1, CompanyState::Provisioning)]);
    assert_eq!(kinds(&working), [named(Kind::HalfMadeDatabase, 1)]);
    for rows in [&mut working.rows, &mut working.rows_before] {
        rows.claims.values_mut().for_each(|claim| claim.updated_at = now());
    }
    assert_eq!(kinds(&working), []);

    let (id, name) = database(5);
    let spare = |lease_until| Spare {
        id,
        server: SERVER.to_owned(),
        place: 0,
        name: name.clone(),
        set_checksum: String::new(),
        state: SpareState::Making,
        lease_until,
        created_at: now(),
    };
    for (lease_until, found) in [(now(), vec![]), (now() - TimeDelta::hours(1), vec![named(Kind::StaleLease, 5)])] {
        let mut making = facts(&[], &[], &[]);
        making.rows.spares.insert(id, spare(lease_until));
        making.rows_before.spares.insert(id, spare(lease_until));
        assert_eq!(kinds(&making), found);
    }
}

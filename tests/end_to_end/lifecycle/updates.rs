//! What a company is called and how it is found.

use std::collections::BTreeMap;

use prost_types::FieldMask;
use tenantry_api::catalog::v1::{Company, CompanyState, GetCompanyRequest, ListCompaniesRequest, UpdateCompanyRequest};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Owner};
use tenantry_testkit::sandbox::Sandbox;
use tonic::Status;

use super::Operations;
use crate::support::{per_engine, reason};

per_engine!(
    the_named_fields_change_and_an_old_etag_does_not,
    companies_are_found_by_state_label_and_server,
    a_slug_opens_a_company_for_operators_only,
);

async fn update(operations: &Operations, company: Company, paths: &[&str]) -> Result<Company, Status> {
    let update_mask = Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
    let request = UpdateCompanyRequest { company: Some(company), update_mask };
    let mut companies = operations.at.companies().expect("a client");
    Ok(companies.update_company(operations.operator.request(request)).await?.into_inner())
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

async fn the_named_fields_change_and_an_old_etag_does_not(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let owner = Owner::of_new_company(sandbox, "Before").await?;
    let other = Owner::of_new_company(sandbox, "Taken").await?;
    let id = owner.company.id.clone();
    let first = operations.get(&id).await?;
    let new = Company {
        id: id.clone(),
        name: "After".into(),
        slug: "after-all".into(),
        plan: "gold".into(),
        region: "eu".into(),
        labels: labels(&[("example.com/tier", "1"), ("note", "it's \"quoted\" = 電力")]),
        etag: first.etag.clone(),
        ..Default::default()
    };
    let changed = update(&operations, new.clone(), &["name", "labels", "plan"]).await?;
    assert_eq!((changed.name.as_str(), changed.slug.as_str(), changed.region.as_str()), ("After", "before", ""));
    assert_eq!((changed.plan.as_str(), &changed.labels), ("gold", &new.labels));
    assert_eq!(reason(update(&operations, new.clone(), &["slug"]).await), Some(Reason::EtagMismatch));
    let new = Company { etag: changed.etag.clone(), ..new };
    let all = update(&operations, new.clone(), &[]).await?;
    assert_eq!((all.slug.as_str(), all.region.as_str()), ("after-all", "eu"));
    // What changes nothing is no change.
    let etag = all.etag.clone();
    assert_eq!(update(&operations, Company { etag: etag.clone(), ..new }, &["*"]).await?.etag, etag);
    let emptied = update(&operations, Company { id: id.clone(), ..Default::default() }, &["plan", "labels"]).await?;
    assert_eq!((emptied.plan.as_str(), emptied.labels.len(), emptied.region.as_str()), ("", 0, "eu"));

    let taken = Company { id: id.clone(), slug: other.company.slug, ..Default::default() };
    assert_eq!(reason(update(&operations, taken, &[]).await), Some(Reason::SlugTaken));
    let broken = Company {
        id,
        name: " ".into(),
        slug: "No".into(),
        plan: "p".repeat(64),
        labels: labels(&[("Tier", "")]),
        ..Default::default()
    };
    let status =
        update(&operations, broken, &["name", "slug", "plan", "labels", "state"]).await.expect_err("a refusal");
    let details = tonic_types::StatusExt::get_error_details(&status);
    let violations = &details.bad_request().expect("violations").field_violations;
    let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["update_mask", "company.name", "company.slug", "company.plan", "company.labels"]);
    Ok(())
}

async fn companies_are_found_by_state_label_and_server(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let mut ids = Vec::new();
    for (name, tier) in [("One", "gold"), ("Two", "Gold"), ("Three", "gold")] {
        let id = Owner::of_new_company(sandbox, name).await?.company.id;
        let tiered = labels(&[("example.com/tier", tier), ("all", "yes")]);
        update(&operations, Company { id: id.clone(), labels: tiered, ..Default::default() }, &[]).await?;
        ids.push(id);
    }
    operations.suspend(&ids[2]).await?;
    let server = operations.get(&ids[0]).await?.database_server;
    let find = async |request: ListCompaniesRequest| -> anyhow::Result<Vec<usize>> {
        let mut companies = sandbox.companies()?;
        let found = companies.list_companies(operations.operator.request(request)).await?.into_inner().companies;
        assert!(found.iter().all(|company| company.database_server == server && !company.schema_version.is_empty()));
        Ok(found.iter().filter_map(|company| ids.iter().position(|id| *id == company.id)).collect())
    };
    let labelled = |labels: &[&str]| ListCompaniesRequest {
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..Default::default()
    };
    assert_eq!(find(labelled(&["all=yes"])).await?, [0, 1, 2]);
    // By bytes on every engine.
    assert_eq!(find(labelled(&["example.com/tier=gold"])).await?, [0, 2]);
    assert_eq!(find(labelled(&["example.com/tier=Gold", "all=yes"])).await?, [1]);
    assert_eq!(find(labelled(&["example.com/tier=gold", "all=no"])).await?, [0; 0]);
    assert_eq!(find(labelled(&["x='; DROP TABLE companies; --"])).await?, [0; 0]);
    let active = [CompanyState::Active.into(), CompanyState::Failed.into()];
    let in_service = ListCompaniesRequest { states: active.to_vec(), ..labelled(&["example.com/tier=gold"]) };
    assert_eq!(find(in_service).await?, [0]);
    let there = |server: &str| ListCompaniesRequest { database_server: server.into(), ..Default::default() };
    assert_eq!(find(there(&server)).await?, [0, 1, 2]);
    assert_eq!(find(there("elsewhere")).await?, [0; 0]);
    let mut companies = sandbox.companies()?;
    for bad in [labelled(&["tier"]), ListCompaniesRequest { states: vec![0], ..Default::default() }] {
        let refused = companies.list_companies(operations.operator.request(bad)).await;
        assert_eq!(reason(refused), Some(Reason::FieldViolations));
    }
    Ok(())
}

async fn a_slug_opens_a_company_for_operators_only(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let owner = Owner::of_new_company(sandbox, "By Name").await?;
    let mut companies = sandbox.companies()?;
    let by_slug = GetCompanyRequest { slug: "by-name".into(), ..Default::default() };
    let found = companies.get_company(operations.operator.request(by_slug.clone())).await?.into_inner();
    assert_eq!(found.id, owner.company.id);
    assert_eq!(reason(companies.get_company(owner.request(by_slug.clone())).await), Some(Reason::OtherTenant));
    let both = GetCompanyRequest { id: owner.company.id.clone(), ..by_slug };
    for wrong in [both.clone(), GetCompanyRequest::default()] {
        let refused = companies.get_company(operations.operator.request(wrong)).await;
        assert_eq!(reason(refused), Some(Reason::FieldViolations));
    }
    assert_eq!(reason(companies.get_company(owner.request(both)).await), Some(Reason::FieldViolations));
    let nobody = GetCompanyRequest { slug: "nobody".into(), ..Default::default() };
    let refused = companies.get_company(operations.operator.request(nobody)).await;
    assert_eq!(reason(refused), Some(Reason::CompanyNotFound));
    Ok(())
}

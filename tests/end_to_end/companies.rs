//! Companies come to be.

use tenantry_api::catalog::v1::{
    CompanyState, CreateCompanyRequest, DatabaseServer, GetCompanyRequest, ListCompaniesRequest, LoginRequest,
    RegisterCompanyRequest, UpdateDatabaseServerRequest,
};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Operator, Owner, PASSWORD, Stranger, fresh_email, registration};
use tenantry_testkit::sandbox::Sandbox;
use tonic_types::StatusExt;

use crate::support::{per_engine, reason};

per_engine!(
    a_company_comes_back_active_with_a_database,
    every_broken_field_is_named_at_once,
    the_same_request_id_is_the_same_company,
    a_taken_email_or_slug_is_refused,
    an_operator_gives_a_known_owner_no_password,
    odd_names_make_ordinary_companies,
    a_wrong_password_and_an_unknown_email_look_the_same,
    twenty_at_once_get_twenty_databases,
);

async fn a_company_comes_back_active_with_a_database(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Sunrise Energy").await?;
    assert_eq!(owner.company.slug, "sunrise-energy");
    assert!(owner.company.provisioning_steps.is_empty(), "steps are for operators");

    let operator = Operator::of(sandbox).await?;
    let get = GetCompanyRequest { id: owner.company.id.clone(), ..Default::default() };
    let seen = sandbox.companies()?.get_company(operator.request(get)).await?.into_inner();
    let steps: Vec<_> = seen.provisioning_steps.iter().map(|step| (step.name.as_str(), step.attempts)).collect();
    assert_eq!(steps, [("create_database", 1), ("seed", 1)]);
    if let Some(databases) = sandbox.on_server() {
        assert_eq!(databases.tenant_databases().await?.len(), 1);
    }
    let list = ListCompaniesRequest::default();
    let listed = sandbox.companies()?.list_companies(operator.request(list)).await?.into_inner();
    assert_eq!(listed.companies.len(), 1);
    Ok(())
}

async fn every_broken_field_is_named_at_once(sandbox: &Sandbox) -> anyhow::Result<()> {
    let broken = RegisterCompanyRequest {
        name: " ".into(),
        slug: "No".into(),
        owner_email: "nobody".into(),
        owner_password: "short".into(),
        request_id: "1".into(),
    };
    let status = sandbox.companies()?.register_company(broken).await.expect_err("a refusal");
    let details = status.get_error_details();
    let fields: Vec<_> =
        details.bad_request().expect("violations").field_violations.iter().map(|v| v.field.clone()).collect();
    assert_eq!(fields, ["name", "slug", "owner_email", "owner_password", "request_id"]);
    assert!(details.request_info().is_some_and(|info| info.request_id.len() == 32), "a trace id to quote");
    Ok(())
}

async fn the_same_request_id_is_the_same_company(sandbox: &Sandbox) -> anyhow::Result<()> {
    let id = uuid::Uuid::now_v7().to_string();
    let request = RegisterCompanyRequest { request_id: id.clone(), ..registration("Twice", &fresh_email()) };
    let mut companies = sandbox.companies()?;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (mut companies, request) = (companies.clone(), request.clone());
        calls.spawn(async move { companies.register_company(request).await });
    }
    let mut ids = std::collections::BTreeSet::new();
    while let Some(call) = calls.join_next().await {
        ids.insert(call??.into_inner().id);
    }
    // And once more, when all is done.
    ids.insert(companies.register_company(request.clone()).await?.into_inner().id);
    assert_eq!(ids.len(), 1);

    let other = RegisterCompanyRequest { name: "Other".into(), ..request };
    assert_eq!(reason(companies.register_company(other).await), Some(Reason::RequestIdReused));
    let operator = Operator::of(sandbox).await?;
    let listed = companies.list_companies(operator.request(ListCompaniesRequest::default())).await?.into_inner();
    assert_eq!(listed.companies.len(), 1);
    Ok(())
}

async fn a_taken_email_or_slug_is_refused(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "First").await?;
    let mut companies = sandbox.companies()?;
    let same_email = registration("Second", &owner.email.to_uppercase());
    assert_eq!(reason(companies.register_company(same_email).await), Some(Reason::EmailTaken));
    let same_slug = RegisterCompanyRequest { slug: "first".into(), ..registration("Second", &fresh_email()) };
    assert_eq!(reason(companies.register_company(same_slug).await), Some(Reason::SlugTaken));
    // A slug that was not asked for gives way.
    let same_name = companies.register_company(registration("First", &fresh_email())).await?.into_inner();
    assert!(same_name.slug.starts_with("first-"), "{}", same_name.slug);
    Ok(())
}

async fn an_operator_gives_a_known_owner_no_password(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "First").await?;
    let operator = Operator::of(sandbox).await?;
    let name = if sandbox.on_server().is_some() { "main" } else { "local" };
    let server = DatabaseServer { name: name.into(), region: "eu".into(), ..Default::default() };
    let there = UpdateDatabaseServerRequest { database_server: Some(server), update_mask: None };
    sandbox.clients().database_servers()?.update_database_server(operator.request(there)).await?;
    let create = |password: &str| CreateCompanyRequest {
        name: "Second".into(),
        owner_email: owner.email.clone(),
        owner_password: password.into(),
        labels: [("tier".to_owned(), "gold".to_owned())].into(),
        plan: "large".into(),
        region: "eu".into(),
        ..Default::default()
    };
    let mut companies = sandbox.companies()?;
    let refused = companies.create_company(operator.request(create("another password for them"))).await;
    assert_eq!(reason(refused), Some(Reason::FieldViolations));
    let second = companies.create_company(operator.request(create(""))).await?.into_inner();
    assert_eq!(second.state(), CompanyState::Active);
    assert_eq!((second.plan.as_str(), second.region.as_str(), second.labels["tier"].as_str()), ("large", "eu", "gold"));

    let login =
        LoginRequest { email: owner.email, password: PASSWORD.into(), company_id: second.id, ..Default::default() };
    assert!(sandbox.tokens()?.login(login).await.is_ok());
    Ok(())
}

async fn odd_names_make_ordinary_companies(sandbox: &Sandbox) -> anyhow::Result<()> {
    for name in ["Robert'); DROP TABLE companies;--", "電力会社 🌞", "\"`\\ % _ ' ;", "مؤسسة", "a"] {
        let owner = Owner::of_new_company(sandbox, name).await?;
        assert_eq!(owner.company.name, name);
    }
    Ok(())
}

async fn a_wrong_password_and_an_unknown_email_look_the_same(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Quiet").await?;
    let login = |email: &str, password: &str| LoginRequest {
        email: email.into(),
        password: password.into(),
        ..Default::default()
    };
    let mut tokens = sandbox.tokens()?;
    let wrong = tokens.login(login(&owner.email, "not the password")).await.expect_err("a refusal");
    let unknown = tokens.login(login(&fresh_email(), PASSWORD)).await.expect_err("a refusal");
    assert_eq!((wrong.code(), wrong.message()), (unknown.code(), unknown.message()));
    assert_eq!(reason::<()>(Err(unknown)), Some(Reason::CredentialsInvalid));
    assert!(tokens.login(login(&owner.email.to_uppercase(), PASSWORD)).await.is_ok());
    Ok(())
}

async fn twenty_at_once_get_twenty_databases(sandbox: &Sandbox) -> anyhow::Result<()> {
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..20 {
        let mut companies = sandbox.companies()?;
        let mut request = tonic::Request::new(registration(&format!("C {n}"), &fresh_email()));
        // The longest that a call may ask for: at its end a company comes back that is not ready yet.
        request.set_timeout(std::time::Duration::from_secs(300));
        calls.spawn(async move { companies.register_company(request).await });
    }
    while let Some(call) = calls.join_next().await {
        assert_eq!(call??.into_inner().state(), CompanyState::Active);
    }
    if let Some(databases) = sandbox.on_server() {
        assert_eq!(databases.tenant_databases().await?.len(), 20);
    }
    let refused = sandbox.companies()?.list_companies(Stranger.request(ListCompaniesRequest::default())).await;
    assert_eq!(reason(refused), Some(Reason::TokenMissing));
    Ok(())
}

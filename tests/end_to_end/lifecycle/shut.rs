//! Shut out, shut for a while, deleted and back.

use std::time::Duration;

use tenantry_api::catalog::v1::{CompanyState, DeleteCompanyRequest, GetCompanyRequest, LoginRequest};
use tenantry_api::crm::v1::{CreatePersonRequest, ListPeopleRequest, Person};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Bearer, Owner, PASSWORD, fresh_email, login, registration};
use tenantry_testkit::sandbox::Sandbox;
use tonic_types::StatusExt;

use super::Operations;
use crate::processes::eventually;
use crate::support::{per_engine, reason};

per_engine!(
    a_suspended_companys_token_is_refused_and_stays_so,
    a_maintenance_says_when_to_come_back_and_keeps_tokens,
    a_deleted_company_comes_back_with_its_people,
    each_change_is_one_revision_and_one_event,
    of_many_at_once_one_has_the_effect,
);

async fn a_suspended_companys_token_is_refused_and_stays_so(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let owner = Owner::of_new_company(sandbox, "Unpaid").await?;
    let id = &owner.company.id;
    let suspended = operations.suspend(id).await?;
    assert_eq!((suspended.state(), suspended.state_reason.as_str()), (CompanyState::Suspended, "unpaid"));

    let list = || owner.request(ListPeopleRequest::default());
    assert_eq!(reason(sandbox.people()?.list_people(list()).await), Some(Reason::TenantSuspended));
    let get = owner.request(GetCompanyRequest { id: id.clone(), ..Default::default() });
    assert_eq!(reason(sandbox.companies()?.get_company(get).await), Some(Reason::TenantSuspended));
    let sign_in = LoginRequest { email: owner.email.clone(), password: PASSWORD.into(), ..Default::default() };
    assert_eq!(reason(sandbox.tokens()?.login(sign_in).await), Some(Reason::TenantSuspended));

    assert_eq!(operations.resume(id).await?.state(), CompanyState::Active);
    eventually("the old token stale", async || {
        let answer = reason(sandbox.people()?.list_people(list()).await);
        Ok((answer == Some(Reason::TokenStale)).then_some(()))
    })
    .await?;
    let anew = Bearer(login(sandbox, &owner.email).await?);
    sandbox.people()?.list_people(anew.request(ListPeopleRequest::default())).await?;
    Ok(())
}

async fn a_maintenance_says_when_to_come_back_and_keeps_tokens(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let owner = Owner::of_new_company(sandbox, "Moving").await?;
    let id = &owner.company.id;
    let company = operations.enter_maintenance(id, 7).await?;
    assert_eq!((company.state(), company.maintenance_retry_seconds), (CompanyState::Maintenance, 7));

    let list = || owner.request(ListPeopleRequest::default());
    let refused = sandbox.people()?.list_people(list()).await.expect_err("a refusal");
    let wait = refused.get_details_retry_info().and_then(|info| info.retry_delay);
    assert_eq!(wait, Some(Duration::from_secs(7)));
    assert_eq!(reason::<()>(Err(refused)), Some(Reason::TenantInMaintenance));
    // The catalog itself goes on.
    login(sandbox, &owner.email).await?;

    let company = operations.leave_maintenance(id).await?;
    assert_eq!((company.state(), company.maintenance_retry_seconds), (CompanyState::Active, 0));
    eventually("the company served again", async || Ok(sandbox.people()?.list_people(list()).await.ok())).await?;
    Ok(())
}

async fn a_deleted_company_comes_back_with_its_people(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let owner = Owner::of_new_company(sandbox, "Phoenix").await?;
    let id = &owner.company.id;
    let person = Person { name: "Ada".into(), ..Default::default() };
    let create = CreatePersonRequest { person: Some(person), ..Default::default() };
    sandbox.people()?.create_person(owner.request(create)).await?;

    let stale = DeleteCompanyRequest { id: id.clone(), etag: "99".into(), ..Default::default() };
    let mut companies = sandbox.companies()?;
    let refused = companies.delete_company(operations.operator.request(stale)).await;
    assert_eq!(reason(refused), Some(Reason::EtagMismatch));
    let deleted = operations.delete(id).await?;
    assert_eq!(deleted.state(), CompanyState::Deleted);
    let grace = deleted.purge_time.unwrap().seconds - deleted.update_time.unwrap().seconds;
    assert_eq!(grace, 30 * 24 * 60 * 60);
    let sign_in = LoginRequest { email: owner.email.clone(), password: PASSWORD.into(), ..Default::default() };
    assert_eq!(reason(sandbox.tokens()?.login(sign_in).await), Some(Reason::TenantDeleted));
    // Its slug is not free.
    let same = tenantry_api::catalog::v1::RegisterCompanyRequest {
        slug: "phoenix".into(),
        ..registration("Other", &fresh_email())
    };
    assert_eq!(reason(companies.register_company(same).await), Some(Reason::SlugTaken));

    let back = operations.undelete(id).await?;
    assert_eq!((back.state(), back.purge_time), (CompanyState::Active, None));
    let anew = Bearer(login(sandbox, &owner.email).await?);
    let people = sandbox.people()?.list_people(anew.request(ListPeopleRequest::default())).await?.into_inner().people;
    assert_eq!(people.iter().map(|person| person.name.as_str()).collect::<Vec<_>>(), ["Ada"]);
    Ok(())
}

async fn each_change_is_one_revision_and_one_event(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let id = Owner::of_new_company(sandbox, "Told").await?.company.id;
    let first: i64 = operations.get(&id).await?.etag.parse()?;
    operations.enter_maintenance(&id, 0).await?;
    operations.suspend(&id).await?;
    operations.suspend(&id).await?;
    operations.delete(&id).await?;
    operations.delete(&id).await?;
    // Deleted while it was suspended, it is suspended again.
    assert_eq!(operations.undelete(&id).await?.state(), CompanyState::Suspended);
    let last = operations.resume(&id).await?;
    assert_eq!(last.etag.parse::<i64>()?, first + 5);
    assert_eq!(last.maintenance_retry_seconds, 0);
    let kinds = sandbox.ask_central("SELECT kind FROM events WHERE kind LIKE 'company.%' ORDER BY sequence").await?;
    let expected = ["created", "activated", "maintenance_entered", "suspended", "deleted", "undeleted", "resumed"];
    assert_eq!(kinds, expected.map(|kind| format!("company.{kind}")));
    Ok(())
}

async fn of_many_at_once_one_has_the_effect(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = std::sync::Arc::new(Operations::of(sandbox).await?);
    let id = Owner::of_new_company(sandbox, "Contended").await?.company.id;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (operations, id) = (operations.clone(), id.clone());
        calls.spawn(async move { operations.suspend(&id).await });
    }
    while let Some(call) = calls.join_next().await {
        assert_eq!(call??.state(), CompanyState::Suspended);
    }
    let told = sandbox.ask_central("SELECT kind FROM events WHERE kind = 'company.suspended'").await?;
    assert_eq!(told.len(), 1);
    Ok(())
}

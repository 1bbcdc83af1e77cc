//! Gone for good, as seen on the real server.

use tenantry_api::catalog::v1::{
    CompanyState, GetCompanyRequest, LoginRequest, PurgeCompanyRequest, RegisterCompanyRequest,
};
use tenantry_api::crm::v1::ListPeopleRequest;
use tenantry_api::migrator::v1::{
    CreateTenantDatabaseRequest, DropTenantDatabaseRequest, GetTenantDatabaseRequest, PasswordVerifier,
};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Bearer, Owner, PASSWORD, fresh_email, registration};
use tenantry_testkit::sandbox::Sandbox;

use super::Operations;
use crate::support::{per_engine, reason};

per_engine!(
    a_purge_leaves_the_company_and_its_events_alone,
    a_purge_waits_for_the_grace_and_can_be_tried_out,
    the_migrator_drops_nothing_that_is_in_service,
    a_drop_that_was_cut_short_is_finished; postgres_18
);

async fn a_purge_leaves_the_company_and_its_events_alone(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let owner = Owner::of_new_company(sandbox, "Gone").await?;
    let kept = Owner::of_new_company(sandbox, "Kept").await?;
    // With connections of the tenant's own role open, as they are in service.
    for owner in [&owner, &kept] {
        sandbox.people()?.list_people(owner.request(ListPeopleRequest::default())).await?;
    }
    assert_eq!(databases(sandbox).await?.len(), 2);
    let id = &owner.company.id;
    operations.delete(id).await?;
    let purged = operations.purge_by_force(id).await?;
    assert_eq!((purged.state(), purged.slug.as_str()), (CompanyState::Purged, ""));
    assert_eq!((purged.database_server.as_str(), purged.schema_version.as_str()), ("", ""));
    let step = purged.provisioning_steps.last().unwrap();
    assert_eq!((step.name.as_str(), step.attempts, step.last_error.as_str()), ("drop_database", 1, ""));

    // As seen on the server: the other company's are left.
    let databases = databases(sandbox).await?;
    assert_eq!(databases.len(), 1, "{databases:?}");
    if let Some(server) = sandbox.on_server() {
        assert_eq!(server.tenant_roles().await?, databases);
    }
    let secrets = sandbox.ask_central("SELECT server FROM company_databases WHERE sealed_password IS NOT NULL").await?;
    assert_eq!(secrets.len(), 1);
    sandbox.people()?.list_people(kept.request(ListPeopleRequest::default())).await?;

    // Nobody is in it, and its slug is free; the company and its events are there.
    let sign_in = LoginRequest { email: owner.email.clone(), password: PASSWORD.into(), ..Default::default() };
    assert_eq!(reason(sandbox.tokens()?.login(sign_in).await), Some(Reason::NoMembership));
    let same = RegisterCompanyRequest { slug: "gone".into(), ..registration("Anew", &fresh_email()) };
    sandbox.companies()?.register_company(same).await?;
    assert_eq!(operations.purge_by_force(id).await?.state(), CompanyState::Purged);
    let sql = "SELECT kind FROM events WHERE kind IN ('company.deleted', 'company.purge_begun', 'company.purged') \
               ORDER BY sequence";
    assert_eq!(sandbox.ask_central(sql).await?, ["company.deleted", "company.purge_begun", "company.purged"]);
    let slug = GetCompanyRequest { slug: "gone".into(), ..Default::default() };
    let found = sandbox.companies()?.get_company(operations.operator.request(slug)).await?.into_inner();
    assert_eq!(found.name, "Anew");
    Ok(())
}

async fn a_purge_waits_for_the_grace_and_can_be_tried_out(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let id = Owner::of_new_company(sandbox, "Hasty").await?.company.id;
    let purge = PurgeCompanyRequest { id: id.clone(), ..Default::default() };
    assert_eq!(reason(operations.purge(purge.clone()).await), Some(Reason::CompanyState));
    let deleted = operations.delete(&id).await?;
    assert_eq!(reason(operations.purge(purge.clone()).await), Some(Reason::GraceNotOver));
    let stale = PurgeCompanyRequest { force: true, etag: "1".into(), ..purge.clone() };
    assert_eq!(reason(operations.purge(stale).await), Some(Reason::EtagMismatch));
    let tried = PurgeCompanyRequest { force: true, validate_only: true, etag: deleted.etag.clone(), ..purge };
    assert_eq!(operations.purge(tried).await?.state(), CompanyState::Deleted);
    assert_eq!(operations.get(&id).await?, deleted);
    assert_eq!(databases(sandbox).await?.len(), 1);

    // When its time has come, nobody has to ask.
    sandbox.run_in_central("UPDATE companies SET purge_at = '2020-01-01 00:00:00'").await?;
    crate::processes::eventually("the company PURGED", async || {
        Ok((operations.get(&id).await?.state() == CompanyState::Purged).then_some(()))
    })
    .await?;
    assert!(databases(sandbox).await?.is_empty());
    Ok(())
}

async fn the_migrator_drops_nothing_that_is_in_service(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let owner = Owner::of_new_company(sandbox, "Needed").await?;
    let catalog = Bearer(sandbox.service_token("catalog", "migrator")?);
    let mut migrator = sandbox.tenant_databases()?;
    let id = owner.company.id.clone();
    let get = GetTenantDatabaseRequest { company_id: id.clone() };
    let known = migrator.get_tenant_database(catalog.request(get.clone())).await?.into_inner();
    let unwanted =
        DropTenantDatabaseRequest { company_id: id.clone(), database_id: known.database_id, server: known.server };
    let refused = migrator.drop_tenant_database(catalog.request(unwanted.clone())).await;
    assert_eq!(reason(refused), Some(Reason::CompanyState));
    operations.delete(&id).await?;
    // It can still be undeleted.
    let refused = migrator.drop_tenant_database(catalog.request(unwanted.clone())).await;
    assert_eq!(reason(refused), Some(Reason::CompanyState));
    operations.undelete(&id).await?;
    sandbox.people()?.list_people(owner.request(ListPeopleRequest::default())).await?;

    operations.delete(&id).await?;
    operations.purge_by_force(&id).await?;
    migrator.drop_tenant_database(catalog.request(unwanted.clone())).await?;
    let gone = migrator.get_tenant_database(catalog.request(get)).await;
    assert_eq!(reason(gone), Some(Reason::DatabaseNotFound));
    // A creation that comes late makes nothing, and neither does one of a company that never had a database.
    let never = DropTenantDatabaseRequest {
        company_id: uuid::Uuid::now_v7().to_string(),
        database_id: uuid::Uuid::now_v7().to_string(),
        ..unwanted.clone()
    };
    migrator.drop_tenant_database(catalog.request(never.clone())).await?;
    for dropped in [unwanted, never] {
        let late = CreateTenantDatabaseRequest {
            company_id: dropped.company_id,
            database_id: dropped.database_id,
            server: dropped.server,
            adoption: None,
            password_verifier: Some(PasswordVerifier {
                scram_sha_256: "SCRAM-SHA-256$64:c2FsdA==$c3RvcmVk:c2VydmVy".to_owned(),
                mysql_native: format!("*{}", "0F".repeat(20)),
            }),
        };
        let refused = migrator.create_tenant_database(catalog.request(late)).await;
        assert_eq!(reason(refused), Some(Reason::DatabaseDropped));
    }
    assert!(databases(sandbox).await?.is_empty());
    Ok(())
}

/// Wherever it was: with the database gone and its login role still there, or with all of it gone and nobody told.
async fn a_drop_that_was_cut_short_is_finished(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let id = Owner::of_new_company(sandbox, "Half Gone").await?.company.id;
    let catalog = Bearer(sandbox.service_token("catalog", "migrator")?);
    let mut migrator = sandbox.tenant_databases()?;
    let get = GetTenantDatabaseRequest { company_id: id.clone() };
    let known = migrator.get_tenant_database(catalog.request(get)).await?.into_inner();
    operations.delete(&id).await?;
    operations.purge_by_force(&id).await?;
    let unwanted = DropTenantDatabaseRequest { company_id: id, database_id: known.database_id, server: known.server };
    for left_over in [true, false] {
        if let Some(server) = sandbox.on_server().filter(|_| left_over) {
            let create = match server.admin_url().starts_with("postgres") {
                true => format!("CREATE ROLE \"{}\" LOGIN", known.name),
                false => format!("CREATE USER '{}'@'%'", known.name),
            };
            server.run(&create).await?;
        }
        sandbox.run_in_migrators("UPDATE database_claims SET state = 'dropping'").await?;
        migrator.drop_tenant_database(catalog.request(unwanted.clone())).await?;
        assert!(databases(sandbox).await?.is_empty());
        if let Some(server) = sandbox.on_server() {
            assert!(server.tenant_roles().await?.is_empty());
        }
    }
    Ok(())
}

/// The companies' databases: on the server, or the files without their endings.
async fn databases(sandbox: &Sandbox) -> anyhow::Result<Vec<String>> {
    if let Some(server) = sandbox.on_server() {
        return server.tenant_databases().await;
    }
    let mut names = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(sandbox.folder().join("data/tenants"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.insert(name.split('.').next().unwrap_or_default().to_owned());
    }
    Ok(names.into_iter().collect())
}

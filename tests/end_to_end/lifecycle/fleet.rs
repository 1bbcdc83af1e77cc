//! The fleet, as the migrator sees it and reports on it.

use tenantry_api::catalog::v1::{
    CompanyState, ListTenantsRequest, ReportSchemaVersionsRequest, SchemaVersionReport, Tenant,
};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Bearer, Owner};
use tenantry_testkit::sandbox::Sandbox;

use super::Operations;
use crate::support::{per_engine, reason};

per_engine!(tenants_come_in_the_order_of_their_ids, an_older_report_does_not_count);

async fn list(sandbox: &Sandbox, request: ListTenantsRequest) -> anyhow::Result<(Vec<Tenant>, String)> {
    let migrator = Bearer(sandbox.service_token("migrator", "catalog")?);
    let answer = sandbox.directory()?.list_tenants(migrator.request(request)).await?.into_inner();
    Ok((answer.tenants, answer.next_page_token))
}

async fn tenants_come_in_the_order_of_their_ids(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let mut ids = Vec::new();
    for name in ["One", "Two", "Three", "Four"] {
        ids.push(Owner::of_new_company(sandbox, name).await?.company.id);
    }
    operations.suspend(&ids[1]).await?;
    operations.delete(&ids[3]).await?;
    operations.purge_by_force(&ids[3]).await?;

    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let (tenants, next) =
            list(sandbox, ListTenantsRequest { page_size: 2, page_token, ..Default::default() }).await?;
        assert!(tenants.len() <= 2);
        seen.extend(tenants);
        page_token = next;
        if page_token.is_empty() {
            break;
        }
    }
    // The purged one comes only when asked for.
    assert_eq!(seen.iter().map(|tenant| &tenant.company_id).collect::<Vec<_>>(), ids[..3].iter().collect::<Vec<_>>());
    assert_eq!((seen[1].state(), seen[1].slug.as_str()), (CompanyState::Suspended, "two"));
    assert!(seen.iter().all(|tenant| !tenant.database_id.is_empty() && !tenant.schema_version.is_empty()));
    let asked = ListTenantsRequest { company_ids: vec![ids[3].clone(), ids[0].clone()], ..Default::default() };
    let (found, _) = list(sandbox, asked).await?;
    let states: Vec<_> = found.iter().map(|tenant| (tenant.state(), tenant.purge_begun)).collect();
    assert_eq!(states, [(CompanyState::Active, false), (CompanyState::Purged, true)]);
    assert_eq!((found[1].slug.as_str(), found[1].database_id.as_str()), ("", ""));
    Ok(())
}

async fn an_older_report_does_not_count(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let id = Owner::of_new_company(sandbox, "Reported").await?.company.id;
    let (tenants, _) = list(sandbox, ListTenantsRequest::default()).await?;
    let report = |version: &str, sequence| SchemaVersionReport {
        company_id: id.clone(),
        database_id: tenants[0].database_id.clone(),
        schema_version: version.into(),
        sequence,
        plugin: String::new(),
    };
    let migrator = Bearer(sandbox.service_token("migrator", "catalog")?);
    let send = async |reports: Vec<SchemaVersionReport>| {
        let request = migrator.request(ReportSchemaVersionsRequest { reports });
        sandbox.directory().expect("a client").report_schema_versions(request).await.map(|it| it.into_inner().accepted)
    };
    let version = async || operations.get(&id).await.map(|company| company.schema_version);
    assert_eq!(send(vec![report("m2", 5)]).await?, 1);
    assert_eq!(send(vec![report("m1", 4)]).await?, 0);
    assert_eq!(send(vec![report("m3", 5)]).await?, 0);
    assert_eq!(version().await?, "m2");
    // Whatever their order in one batch, and with one of no database that there is.
    let other = SchemaVersionReport { database_id: uuid::Uuid::now_v7().to_string(), ..report("m9", 9) };
    assert_eq!(send(vec![report("m5", 7), report("m4", 6), other]).await?, 2);
    assert_eq!(version().await?, "m5");
    for bad in [vec![], vec![report("m1", 0)], vec![report("", 8)], vec![report("m1", 8); 1_001]] {
        assert_eq!(reason(send(bad).await), Some(Reason::FieldViolations));
    }
    assert_eq!(send(vec![report("m6", 8); 1_000]).await?, 1);
    // What is no news is no event.
    assert_eq!(send(vec![report("m6", 9)]).await?, 1);
    let told = sandbox.ask_central("SELECT kind FROM events WHERE kind = 'company.schema_changed'").await?;
    assert_eq!(told.len(), 4);
    Ok(())
}

//! Two catalogs on one central database, told the same things at the same time.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use tenantry::Addresses;
use tenantry_api::catalog::v1::{CompanyState, RegisterCompanyRequest};
use tenantry_testkit::actors::{fresh_email, registration};
use tenantry_testkit::sandbox::Clients;
use tenantry_testkit::servers::free_in_a_row;
use tokio::task::JoinSet;

use super::Setting;
use crate::processes::serve;

const COMPANIES: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_catalogs_that_are_told_the_same_make_one_database() -> anyhow::Result<()> {
    let setting = Setting::new().await?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_in_a_row(1)?));
    let mut second = setting.deployment.catalog()?;
    second.env("TENANTRY_LISTEN", address.to_string());
    second.env("CATALOG_LIFECYCLE_HOOKS", setting.place.configuration());
    let second = serve(second).await?;
    let there = Clients::of(Addresses { catalog: address, ..setting.deployment.addresses });

    let mut calls = JoinSet::new();
    for n in 0..COMPANIES {
        #[allow(clippy::disallowed_methods)] // Another request id for every company.
        let request_id = uuid::Uuid::now_v7().to_string();
        let request = RegisterCompanyRequest { request_id, ..registration(&format!("C {n}"), &fresh_email()) };
        for at in [setting.operations.at, there] {
            let request = request.clone();
            calls.spawn(async move { anyhow::Ok(at.companies()?.register_company(request).await?.into_inner()) });
        }
    }
    let mut ids = BTreeSet::new();
    while let Some(call) = calls.join_next().await {
        let company = call??;
        assert_eq!(company.state(), CompanyState::Active);
        ids.insert(company.id);
    }
    assert_eq!(ids.len(), COMPANIES);
    let server = setting.deployment.control().expect("a server");
    assert_eq!(server.tenant_databases().await?.len(), COMPANIES);
    assert_eq!(server.tenant_roles().await?.len(), COMPANIES);
    for id in &ids {
        // Nobody crashed: each step ran once, whichever catalog had the lease.
        let steps = setting.operations.get(id).await?.provisioning_steps;
        assert!(steps.iter().all(|step| step.attempts == 1), "{steps:?}");
        assert_eq!(setting.place.done_for(id)?, ["prepare"]);
    }
    assert_eq!(setting.orphans().await?, 0);
    second.stop("TERM").await?;
    setting.end().await
}

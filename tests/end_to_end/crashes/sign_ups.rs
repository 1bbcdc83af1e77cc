//! Many sign-ups at once while the migrator dies again and again.
//!
//! `TENANTRY_TEST_SIGN_UPS=200 RUST_TEST_NOCAPTURE=1 cargo xtask test --only crashes::sign_ups` takes more of them.

use std::time::{Duration, Instant};

use tenantry_api::catalog::v1::{CompanyState, RegisterCompanyRequest};
use tenantry_testkit::actors::{fresh_email, registration};
use tokio::task::JoinSet;
use tonic::Code;

use super::{Setting, Who};
use crate::processes::{eventually, psql};

/// How long a company may be in the making. A bound for what never comes, no measure of speed.
const LONGEST: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_a_database_although_the_migrator_is_killed_twice() -> anyhow::Result<()> {
    let size: usize = std::env::var("TENANTRY_TEST_SIGN_UPS").map_or(Ok(48), |text| text.parse())?;
    let mut setting = Setting::new().await?;
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for n in 0..size {
        let at = setting.operations.at;
        callers.spawn(async move {
            #[allow(clippy::disallowed_methods)] // Another request id for every company.
            let request_id = uuid::Uuid::now_v7().to_string();
            let request = RegisterCompanyRequest { request_id, ..registration(&format!("C {n}"), &fresh_email()) };
            // As a client does that means it: until it is through.
            while begun.elapsed() < LONGEST {
                match at.companies()?.register_company(request.clone()).await {
                    Ok(company) if company.get_ref().state() == CompanyState::Active => return anyhow::Ok(()),
                    Ok(_) => {}
                    Err(status) => {
                        let retry = [Code::Unavailable, Code::ResourceExhausted, Code::DeadlineExceeded];
                        anyhow::ensure!(retry.contains(&status.code()), "{status:?}");
                        let delay = tonic_types::StatusExt::get_details_retry_info(&status);
                        let delay = delay.and_then(|info| info.retry_delay).unwrap_or_default();
                        tokio::time::sleep(delay).await;
                    }
                }
            }
            anyhow::bail!("company {n} never came to be")
        });
    }
    let mut made_at = Vec::new();
    for share in [4, 2] {
        let server = setting.deployment.control().expect("a server");
        made_at.push(
            eventually("databases", async || {
                let made = server.tenant_databases().await?.len();
                Ok((made >= size / share).then_some(made))
            })
            .await?,
        );
        let migrator = setting.migrator.take().expect("a process");
        migrator.signal("KILL")?;
        drop(migrator);
        setting.start(Who::Migrator, "").await?;
    }
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    let took = begun.elapsed();

    let server = setting.deployment.control().expect("a server");
    let prefix = server.prefix();
    let central = server.central();
    let active = psql(server, &central, "SELECT count(*) FROM companies WHERE state = 'active'").await?;
    let databases = format!(
        "SELECT count(*) FROM pg_database WHERE datname ~ '^{prefix}[0-9a-z]{{26}}$' AND datallowconn AND datname IN \
         (SELECT rolname FROM pg_roles WHERE rolcanlogin)"
    );
    let databases = psql(server, &central, &databases).await?;
    assert_eq!((active.as_str(), databases.as_str()), (&*size.to_string(), &*size.to_string()));
    setting.active = size;
    let orphans = setting.orphans().await?;
    assert_eq!(orphans, 0);
    println!(
        "{size} sign-ups at once in {:.1} s, the migrator killed at {made_at:?} databases; by psql {active} active companies and \
         {databases} databases; by the reconciler {orphans} orphans",
        took.as_secs_f64()
    );
    setting.end().await
}

//! Many of them.

use tenantry_api::migrator::v1::{FindingKind as Kind, RepairRequest, RepairState};
use tenantry_testkit::sandbox::{Engine, Sandbox};

use super::{Ground, in_state, told};

const DATABASES: usize = 320;

/// Where a database costs next to nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_databases_are_looked_at_in_one_call() -> anyhow::Result<()> {
    for engine in [Engine::Sqlite, Engine::MariaDb] {
        let sandbox = Sandbox::start(engine).await?;
        let ground = Ground::of(&sandbox).await?;
        ground.company("Among many").await?;
        let names: Vec<_> = (0..DATABASES).map(|_| ground.fresh_name()).collect();
        for name in &names {
            ground.make_database(name).await?;
        }
        let report = ground.survey().await?;
        assert_eq!(told(&report), names.into_iter().map(|name| (Kind::DatabaseWithoutCompany, name)).collect());
        assert_eq!(usize::try_from(report.database_count)?, DATABASES + 1);
        sandbox.stop().await?;
    }
    Ok(())
}

/// More than a report holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_bounded_and_begins_with_what_was_mended() -> anyhow::Result<()> {
    const ROLES: i32 = 1_020;
    let sandbox = Sandbox::start(Engine::Postgres).await?;
    let ground = Ground::of(&sandbox).await?;
    let server = sandbox.on_server().expect("a server");
    server
        .run(&format!(
            "DO $$ BEGIN FOR n IN 1..{ROLES} LOOP EXECUTE format('CREATE ROLE %I', '{}' || lpad(n::text, 26, '0')); \
             END LOOP; END $$",
            ground.prefix()
        ))
        .await?;
    let report = ground.survey().await?;
    assert_eq!((report.findings.len(), report.finding_count, report.role_count), (1_000, ROLES, ROLES));
    // What is to be mended comes first, however much else there is.
    let scratch = format!("{}scratch_0123456789abcdefgh", ground.prefix());
    ground.make_role(&scratch).await?;
    let leftovers = RepairRequest { kinds: vec![Kind::Leftover.into()], ..Default::default() };
    let mended = ground.repair(leftovers).await?;
    assert_eq!((mended.findings.len(), mended.finding_count), (1_000, ROLES + 1));
    assert_eq!(in_state(&mended, RepairState::Done), [(Kind::Leftover, scratch)].into());
    server
        .run(&format!(
            "DO $$ BEGIN FOR n IN 1..{ROLES} LOOP EXECUTE format('DROP ROLE %I', '{}' || lpad(n::text, 26, '0')); \
             END LOOP; END $$",
            ground.prefix()
        ))
        .await?;
    assert_eq!(ground.survey().await?.finding_count, 0);
    sandbox.stop().await
}

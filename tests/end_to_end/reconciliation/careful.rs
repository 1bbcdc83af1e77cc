//! What looks like a mess for a moment, and what two do at once.

use tenantry_api::catalog::v1::{AdoptDatabase, CreateCompanyRequest, DeleteCompanyRequest, PurgeCompanyRequest};
use tenantry_api::migrator::v1::{FindingKind as Kind, RepairRequest, RepairState, SurveyRequest};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor as _, Operator, Owner, PASSWORD, fresh_email};
use tenantry_testkit::sandbox::{Engine, Sandbox};

use super::{AT_ONCE, Ground, Told, in_state, told, works};
use crate::support::{fields, per_engine, reason};

per_engine!(
    what_is_under_way_is_no_finding,
    two_at_once_mend_once,
    what_it_is_asked_is_checked,
    an_adopted_database_is_as_good_as_any; postgres_18
);

/// Companies come and go while it is looked, again and again.
async fn what_is_under_way_is_no_finding(sandbox: &Sandbox) -> anyhow::Result<()> {
    let ground = Ground::of(sandbox).await?;
    let mut comings = tokio::task::JoinSet::new();
    for n in 0..3 {
        let clients = sandbox.clients();
        let operator = Operator::of(sandbox).await?;
        comings.spawn(async move {
            for round in 0..3 {
                let owner = Owner::of_new_company(clients, &format!("Passing {n} {round}")).await?;
                let id = owner.company.id;
                let delete = DeleteCompanyRequest { id: id.clone(), ..Default::default() };
                clients.companies()?.delete_company(operator.request(delete)).await?;
                let purge = PurgeCompanyRequest { id, force: true, ..Default::default() };
                clients.companies()?.purge_company(operator.request(purge)).await?;
            }
            anyhow::Ok(())
        });
    }
    let mut client = sandbox.clients().reconciliation()?;
    let mut looked = 0;
    while !comings.is_empty() {
        // With the age that is meant for it: what is being made is not at a standstill.
        let request = ground.operator.request(SurveyRequest::default());
        let report = client.survey(request).await?.into_inner();
        assert_eq!(told(&report), Told::new(), "{report:#?}");
        looked += 1;
        while let Some(done) = comings.try_join_next() {
            done??;
        }
    }
    assert!(looked > 0);
    assert_eq!(told(&ground.survey().await?), Told::new());
    Ok(())
}

async fn two_at_once_mend_once(sandbox: &Sandbox) -> anyhow::Result<()> {
    let ground = Ground::of(sandbox).await?;
    let (owner, _) = ground.company("Beside").await?;
    let mut planted = Told::new();
    for n in 0..4 {
        let scratch = format!("{}scratch_0123456789abcdefg{n}", ground.prefix());
        ground.make_database(&scratch).await?;
        planted.insert((Kind::Leftover, scratch));
        if ground.has_roles() {
            let role = ground.fresh_name();
            ground.make_role(&role).await?;
            planted.insert((Kind::RoleWithoutDatabase, role));
        }
    }
    let orphan = ground.fresh_name();
    ground.make_database(&orphan).await?;
    let all = || ground.repair(RepairRequest::default());
    let (first, second, third) = tokio::join!(all(), all(), all());
    let mut done = Told::new();
    for report in [first?, second?, third?] {
        assert_eq!(in_state(&report, RepairState::Failed), Told::new(), "{report:#?}");
        done.append(&mut in_state(&report, RepairState::Done));
    }
    assert_eq!(done, planted);
    assert_eq!(told(&ground.survey().await?), Told::from([(Kind::DatabaseWithoutCompany, orphan.clone())]));

    let names = [orphan.as_str()];
    let drop = || ground.drop_named(&names, true);
    for dropped in <[_; 2]>::from(tokio::join!(drop(), drop())) {
        match dropped {
            Ok(report) => assert_eq!(in_state(&report, RepairState::Failed), Told::new(), "{report:#?}"),
            // It came when the other one was done.
            Err(status) => assert_eq!(tenantry_rpc::reason_of(&status), Some(Reason::DatabaseNotFound)),
        }
    }
    assert_eq!(told(&ground.survey().await?), Told::new());
    works(sandbox, &owner).await
}

async fn what_it_is_asked_is_checked(sandbox: &Sandbox) -> anyhow::Result<()> {
    let ground = Ground::of(sandbox).await?;
    let mut client = sandbox.clients().reconciliation()?;
    let nowhere = SurveyRequest { servers: vec!["nowhere".to_owned()], min_age: AT_ONCE };
    assert_eq!(reason(client.survey(ground.operator.request(nowhere)).await), Some(Reason::DatabaseServerNotFound));
    let minus = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    let many = SurveyRequest { servers: vec!["main".to_owned(); 101], min_age: minus };
    assert_eq!(fields(client.survey(ground.operator.request(many)).await), ["servers", "min_age"]);
    let odd = RepairRequest { kinds: vec![0, 99], ..Default::default() };
    assert_eq!(fields(ground.repair(odd).await), ["kinds[0]", "kinds[1]"]);
    let names = ["tnt_x; DROP DATABASE y", "", "main"];
    let odd = ["drop_databases[0].name", "drop_databases[1].name"];
    assert_eq!(fields(ground.drop_named(&names, true).await), odd);
    // Neither the control plane's own databases nor the server's.
    for name in ["postgres", "mysql", "template1", "central", &format!("{}central", ground.prefix())] {
        assert_eq!(reason(ground.drop_named(&[name], true).await), Some(Reason::DatabaseNotFound), "{name}");
    }
    Ok(())
}

async fn an_adopted_database_is_as_good_as_any(sandbox: &Sandbox) -> anyhow::Result<()> {
    let ground = Ground::of(sandbox).await?;
    ground.company("The first").await?;
    let legacy = format!("{}legacy", ground.prefix());
    ground.make_database(&legacy).await?;
    assert_eq!(told(&ground.survey().await?), Told::from([(Kind::Unrecognized, legacy.clone())]));
    let creation = CreateCompanyRequest {
        name: "Taken over".to_owned(),
        owner_email: fresh_email(),
        owner_password: PASSWORD.to_owned(),
        database_server: ground.server().to_owned(),
        adopt_database: Some(AdoptDatabase { name: legacy.clone(), ..Default::default() }),
        ..Default::default()
    };
    sandbox.companies()?.create_company(ground.operator.request(creation)).await?;
    let report = ground.survey().await?;
    assert_eq!((told(&report), report.database_count), (Told::new(), 2));
    assert_eq!(report.role_count, if ground.has_roles() { 2 } else { 0 });
    ground.drop_database(&legacy).await?;
    let missing = Told::from([(Kind::CompanyWithoutDatabase, legacy)]);
    assert_eq!(told(&ground.survey().await?), missing);
    // Its role is kept: the database may come back from a backup.
    let repaired = ground.repair(RepairRequest::default()).await?;
    assert_eq!((told(&repaired), in_state(&repaired, RepairState::Done)), (missing, Told::new()));
    Ok(())
}

/// A disk that is not mounted looks like an empty server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_away_is_no_empty_one() -> anyhow::Result<()> {
    let sandbox = Sandbox::start(Engine::Sqlite).await?;
    let ground = Ground::of(&sandbox).await?;
    assert_eq!(told(&ground.survey().await?), Told::new(), "there is no folder before the first company");
    let (owner, _) = ground.company("Mounted").await?;
    let (there, away) = (sandbox.folder().join("data/tenants"), sandbox.folder().join("away"));
    std::fs::rename(&there, &away)?;
    let report = ground.survey().await?;
    assert_eq!(told(&report), Told::from([(Kind::ServerUnreachable, String::new())]));
    std::fs::rename(&away, &there)?;
    assert_eq!(told(&ground.survey().await?), Told::new());
    works(&sandbox, &owner).await?;
    sandbox.stop().await
}

//! One of each mess, made by hand on a real server.

use tenantry_api::migrator::v1::{
    CreateTenantDatabaseRequest, FindingKind as Kind, PasswordVerifier, RepairRequest, RepairState,
};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor as _, Bearer, Owner};
use tenantry_testkit::sandbox::Sandbox;
use uuid::Uuid;

use super::{Ground, Told, in_state, told, works};
use crate::support::{per_engine, reason};

per_engine!(every_mess_is_named_and_mended; postgres_18);

/// What was planted.
struct Planted {
    all: Told,
    /// What is mended without being named.
    mendable: Told,
    /// Databases without a company.
    ownerless: Vec<String>,
    /// A company whose role was broken.
    limping: Option<Owner>,
}

async fn every_mess_is_named_and_mended(sandbox: &Sandbox) -> anyhow::Result<()> {
    let ground = Ground::of(sandbox).await?;
    let (healthy, database) = ground.company("Healthy").await?;
    works(sandbox, &healthy).await?;
    let fresh = ground.survey().await?;
    assert_eq!((told(&fresh), fresh.database_count), (Told::new(), 1));
    assert_eq!(fresh.role_count, i32::from(ground.has_roles()));
    assert_eq!(fresh.servers, [ground.server()]);

    let planted = plant(&ground, &database).await?;
    let found = ground.survey().await?;
    assert_eq!(told(&found), planted.all, "{found:#?}");
    let before = ground.there().await?;

    // Only said.
    let plan = ground.repair(RepairRequest { validate_only: true, ..Default::default() }).await?;
    assert_eq!(in_state(&plan, RepairState::Planned), planted.mendable);
    assert_eq!(told(&ground.survey().await?), planted.all);
    assert_eq!(ground.there().await?, before);

    // Only one kind, then the rest.
    let leftovers = RepairRequest { kinds: vec![Kind::Leftover.into()], ..Default::default() };
    let mended = ground.repair(leftovers).await?;
    assert!(in_state(&mended, RepairState::Done).iter().all(|(kind, _)| *kind == Kind::Leftover));
    let rest = ground.repair(RepairRequest::default()).await?;
    assert_eq!(in_state(&rest, RepairState::Failed), Told::new(), "{rest:#?}");
    let done = &in_state(&mended, RepairState::Done) | &in_state(&rest, RepairState::Done);
    assert_eq!(done, planted.mendable);
    assert_eq!(told(&ground.survey().await?), &planted.all - &planted.mendable);
    assert_eq!(in_state(&ground.repair(RepairRequest::default()).await?, RepairState::Done), Told::new(), "once");
    if let Some(owner) = &planted.limping {
        works(sandbox, owner).await?;
    }

    // A database goes only by its name, and only if nobody has it.
    let ownerless: Vec<_> = planted.ownerless.iter().map(String::as_str).collect();
    assert_eq!(reason(ground.drop_named(&ownerless, false).await), Some(Reason::ConfirmationRequired));
    assert_eq!(reason(ground.drop_named(&[ownerless[0], &database], true).await), Some(Reason::DatabaseNotFound));
    assert!(ownerless.iter().all(|name| before.contains(*name)));
    assert!(ground.there().await?.contains(ownerless[0]), "all or nothing");
    let dropped = ground.drop_named(&ownerless, true).await?;
    assert_eq!(in_state(&dropped, RepairState::Done).len(), ownerless.len(), "{dropped:#?}");
    let there = ground.there().await?;
    assert!(there.iter().all(|name| ownerless.iter().all(|gone| !name.contains(gone))), "{there:?}");
    assert!(told(&ground.survey().await?).iter().all(|(kind, _)| *kind != Kind::DatabaseWithoutCompany));
    assert_eq!(reason(ground.drop_named(&ownerless, true).await), Some(Reason::DatabaseNotFound));

    works(sandbox, &healthy).await?;
    on_record(sandbox, planted.mendable.len() + ownerless.len()).await
}

/// Each repair is a row with the operator in it.
async fn on_record(sandbox: &Sandbox, repairs: usize) -> anyhow::Result<()> {
    let runs = "SELECT caller FROM runs WHERE kind = 'reconcile' AND state = 'done' AND finished_at IS NOT NULL";
    let callers = sandbox.ask_migrators(runs).await?;
    assert_eq!(callers.len(), repairs);
    assert!(callers.iter().all(|caller| caller.starts_with("operator:")), "{callers:?}");
    let unfinished =
        sandbox.ask_migrators("SELECT caller FROM runs WHERE kind = 'reconcile' AND state <> 'done'").await?;
    assert_eq!(unfinished, [""; 0]);
    Ok(())
}

async fn plant(ground: &Ground<'_>, model: &str) -> anyhow::Result<Planted> {
    let sandbox = ground.sandbox;
    let (mut mended, mut told, mut ownerless) = (Told::new(), Told::new(), Vec::new());

    // Nobody's, with a role and without; one of them has a claim for a company that never was.
    let orphan = ground.fresh_name();
    ground.make_database(&orphan).await?;
    if ground.has_roles() {
        ground.make_role(&orphan).await?;
    }
    let claimed = claim_for_nobody(ground).await?;
    for name in [orphan, claimed] {
        told.insert((Kind::DatabaseWithoutCompany, name.clone()));
        ownerless.push(name);
    }
    let vanished = claim_for_nobody(ground).await?;
    ground.drop_database(&vanished).await?;
    mended.insert((Kind::ClaimWithoutCompany, vanished));

    // Companies whose databases went, were forgotten, or are stuck.
    let (_, gone) = ground.company("Gone").await?;
    ground.drop_database(&gone).await?;
    told.insert((Kind::CompanyWithoutDatabase, gone));
    let (_, forgotten) = ground.company("Forgotten").await?;
    sandbox.run_in_migrators(&format!("DELETE FROM database_claims WHERE name = '{forgotten}'")).await?;
    told.insert((Kind::DatabaseWithoutClaim, forgotten));
    let (_, stuck) = ground.company("Stuck").await?;
    sandbox.run_in_migrators(&format!("UPDATE database_claims SET state = 'creating' WHERE name = '{stuck}'")).await?;
    told.insert((Kind::HalfMadeDatabase, stuck));

    // Work that was cut short, and what somebody made for themselves.
    let scratch = format!("{}scratch_0123456789abcdefgh", ground.prefix());
    ground.make_database(&scratch).await?;
    mended.insert((Kind::Leftover, scratch.clone()));
    let rehearsal = format!("{}rehearsal_0123456789abcdefghjkmnpqrs", ground.prefix());
    ground.make_database(&rehearsal).await?;
    mended.insert((Kind::Leftover, rehearsal));
    if ground.is_postgres() {
        let template = format!("{}template_0123456789abcdef", ground.prefix());
        ground.make_database(&template).await?;
        mended.insert((Kind::Leftover, template));
    }
    let private = format!("{}somebody", ground.prefix());
    ground.make_database(&private).await?;
    told.insert((Kind::Unrecognized, private));

    // Only where nobody looks after spares by itself.
    if !ground.is_postgres() {
        for (name, state, place, kind) in [
            (ground.fresh_name(), "making", 7, Kind::StaleLease),
            (ground.fresh_name(), "ready", 8, Kind::SpareWithoutDatabase),
        ] {
            let company = ground.company(state).await?.1;
            sandbox
                .run_in_migrators(&format!(
                    "INSERT INTO spares (id, server, place, name, set_checksum, state, lease_until, created_at) \
                     SELECT database_id, server, {place}, '{name}', 'x', '{state}', created_at, created_at \
                     FROM database_claims WHERE name = '{company}'"
                ))
                .await?;
            mended.insert((kind, name));
        }
    }
    let limping = match ground.has_roles() {
        true => Some(plant_roles(ground, model, &scratch, &mut told, &mut mended).await?),
        false => None,
    };
    Ok(Planted { all: &told | &mended, mendable: mended, ownerless, limping })
}

/// Roles without a database, and databases without their role. Returns the company that is to work again.
async fn plant_roles(
    ground: &Ground<'_>,
    model: &str,
    scratch: &str,
    told: &mut Told,
    mended: &mut Told,
) -> anyhow::Result<Owner> {
    let server = ground.sandbox.on_server().expect("a server");
    let (first, second) = (ground.fresh_name(), ground.fresh_name());
    // The second one's name has room for 24 characters of the id where the prefix has six.
    let kept = &second[ground.prefix().len()..];
    let second = format!("{}{}_b", ground.prefix(), &kept[kept.len() - (30 - ground.prefix().len()).min(26)..]);
    for name in [&first, &second] {
        ground.make_role(name).await?;
        mended.insert((Kind::RoleWithoutDatabase, name.clone()));
    }
    // Those that belong to something that is there, whatever that is.
    ground.make_role(scratch).await?;
    let beside = format!("{}{}_b", ground.prefix(), &model[model.len() - (30 - ground.prefix().len()).min(26)..]);
    ground.make_role(&beside).await?;

    let (_, shut_out) = ground.company("Shut out").await?;
    let (limping, role) = ground.company("Limping").await?;
    let statements = match ground.is_postgres() {
        true => [
            format!("REVOKE ALL ON DATABASE {shut_out} FROM {shut_out}"),
            format!("DROP ROLE {shut_out}"),
            format!("ALTER ROLE {role} NOLOGIN"),
        ],
        false => [
            format!("DROP USER '{shut_out}'@'%'"),
            format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM '{role}'@'%'"),
            format!("ALTER USER '{role}'@'%' ACCOUNT LOCK"),
        ],
    };
    for statement in statements {
        server.run(&statement).await?;
    }
    told.insert((Kind::DatabaseWithoutRole, shut_out));
    mended.insert((Kind::HalfMadeRole, role));
    Ok(limping)
}

/// A database as the catalog asks for it, for a company that the catalog does not have. Its name.
async fn claim_for_nobody(ground: &Ground<'_>) -> anyhow::Result<String> {
    let sandbox = ground.sandbox;
    let request = CreateTenantDatabaseRequest {
        company_id: Uuid::now_v7().to_string(),
        database_id: Uuid::now_v7().to_string(),
        server: ground.server().to_owned(),
        password_verifier: Some(PasswordVerifier {
            scram_sha_256: "SCRAM-SHA-256$64:c2FsdA==$c3RvcmVk:c2VydmVy".to_owned(),
            mysql_native: format!("*{}", "0F".repeat(20)),
        }),
        adoption: None,
    };
    let catalog = Bearer(sandbox.service_token("catalog", "migrator")?);
    Ok(sandbox.tenant_databases()?.create_tenant_database(catalog.request(request)).await?.into_inner().name)
}

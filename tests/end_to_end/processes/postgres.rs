//! Three processes on PostgreSQL.

use tenantry_api::catalog::v1::{CompanyState, GetCompanyRequest};
use tenantry_testkit::actors::Actor;
use tenantry_testkit::process::run;
use tenantry_testkit::sandbox::Engine;

use super::tour::Inhabited;
use super::{Deployment, serve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_do_the_whole_tour() -> anyhow::Result<()> {
    whole_tour(Deployment::on(Engine::Postgres)?).await
}

/// From nothing to two companies, and down again. On every engine.
pub(super) async fn whole_tour(deployment: Deployment) -> anyhow::Result<()> {
    set_up(&deployment).await?;
    let catalog = serve(deployment.catalog()?).await?;
    let migrator = serve(deployment.migrator()?).await?;
    let crm = serve(deployment.crm()?).await?;

    let at = deployment.clients();
    let one = Inhabited::new(at, "Sunrise Energy").await?;
    let two = Inhabited::new(at, "Moonlight Energy").await?;
    one.is_seen_by(at, &one.owner).await?;
    one.is_hidden_from(at, &two).await?;
    two.is_hidden_from(at, &one).await?;

    let operator = deployment.operator().await?;
    let get = GetCompanyRequest { id: one.owner.company.id.clone(), ..Default::default() };
    let company = at.companies()?.get_company(operator.request(get)).await?.into_inner();
    assert_eq!(company.state(), CompanyState::Active);
    let steps: Vec<_> = company.provisioning_steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(steps, ["create_database", "seed"]);

    for process in [crm, migrator, catalog] {
        process.stop("TERM").await?;
    }
    deployment.remove().await
}

/// The steps of the README, each of them once more: none does harm.
async fn set_up(deployment: &Deployment) -> anyhow::Result<()> {
    let first = deployment.migrate_central().await?;
    assert!(first.contains("central: applied m2") && first.contains("migrator: applied m2"), "{first}");
    assert_eq!(deployment.migrate_central().await?, "central: nothing to do\nmigrator: nothing to do\n");

    let unseen = run(deployment.bootstrap(None)?).await?.refusal()?;
    assert!(unseen.contains("on a terminal only; name a new file with --credential-file"), "{unseen}");
    let file = deployment.file("operator-credential");
    let said = run(deployment.bootstrap(Some(&file))?).await?.success()?;
    assert!(said.contains(&file.display().to_string()), "{said}");
    let credential = std::fs::read_to_string(&file)?;
    assert!(!said.contains(credential.trim()), "the credential was shown");
    let other = deployment.file("another");
    let again = run(deployment.bootstrap(Some(&other))?).await?.refusal()?;
    assert!(again.contains("there is an operator already") && !other.exists(), "{again}");

    for service in ["catalog", "migrator", "crm"] {
        run(deployment.generate_key(service)?).await?.success()?;
        let key = std::fs::read(deployment.file(&format!("{service}.pem")))?;
        let again = run(deployment.generate_key(service)?).await?.refusal()?;
        assert!(again.contains("File exists"), "{again}");
        assert_eq!(std::fs::read(deployment.file(&format!("{service}.pem")))?, key);
    }
    Ok(())
}

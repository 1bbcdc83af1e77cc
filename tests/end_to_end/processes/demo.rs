//! `tenantry demo` fills companies with people, through services that come late, go away and have some of them already.

use serde_json::Value;
use tenantry_api::catalog::v1::ListCompaniesRequest;
use tenantry_api::crm::v1::{ListPeopleRequest, ListTransactionsRequest, SearchPeopleRequest};
use tenantry_testkit::actors::{Actor, Bearer, login};
use tenantry_testkit::process::{Process, program, run};
use tenantry_testkit::servers::free_in_a_row;

use super::operator::code;
use super::{Deployment, eventually, serve};

/// `tenantry demo` against the deployment, with the arguments after it.
fn demo(deployment: &Deployment, arguments: &[&str]) -> anyhow::Result<std::process::Command> {
    let mut command = program("tenantry")?;
    command.arg("demo").args(arguments);
    command.args(["--catalog-address", &format!("http://{}", deployment.addresses.catalog)]);
    command.args(["--crm-address", &format!("http://{}", deployment.addresses.crm)]);
    Ok(command)
}

/// What a company of the first seed has: how many people and payments.
async fn has(deployment: &Deployment, number: u32) -> anyhow::Result<(usize, usize)> {
    let clients = deployment.clients();
    let owner = Bearer(login(clients, &format!("owner{number}.seed1@demo.example.com")).await?);
    let list = ListPeopleRequest { page_size: 1_000, ..Default::default() };
    let people = clients.people()?.list_people(owner.request(list)).await?.into_inner().people;
    let list = ListTransactionsRequest { page_size: 1_000, ..Default::default() };
    let payments = clients.transactions()?.list_transactions(owner.request(list)).await?.into_inner().transactions;
    // As anybody would look for somebody, in whatever script.
    for person in &people {
        let search = SearchPeopleRequest { query: person.name.clone(), page_size: 1_000, ..Default::default() };
        let found = clients.people()?.search_people(owner.request(search)).await?.into_inner().people;
        assert!(found.iter().any(|other| other.id == person.id), "{person:?}");
    }
    Ok((people.len(), payments.len()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cut_short_goes_on_and_a_repetition_doubles_nothing() -> anyhow::Result<()> {
    let deployment = Deployment::on_files()?;
    deployment.prepare().await?;
    let catalog = serve(deployment.catalog()?).await?;
    let migrator = serve(deployment.migrator()?).await?;

    // Four companies have every country of the data, so each of its names and addresses may come.
    let order = ["--companies", "4", "--people", "12", "--json"];
    let cut_short = run(demo(&deployment, &[&order[..], &["--retry-for-ms", "2000"]].concat())?).await?;
    assert_eq!(code(&cut_short), Some(6), "{cut_short:?}");
    assert!(cut_short.stderr.contains("the same command goes on where this one stopped"), "{cut_short:?}");

    // Begun before there is a crm.
    let waiting = Process::start(demo(&deployment, &order)?)?;
    let operator = deployment.operator().await?;
    eventually("the companies", async || {
        let list = operator.request(ListCompaniesRequest::default());
        let companies = deployment.clients().companies()?.list_companies(list).await?.into_inner().companies;
        Ok((companies.len() == 4).then_some(()))
    })
    .await?;
    let crm = serve(deployment.crm()?).await?;
    let first: Value = serde_json::from_str(waiting.end().await?.success()?.trim())?;
    assert_eq!((&first["companies"], &first["people"], &first["failed"]), (&4.into(), &48.into(), &0.into()));
    let mut before = Vec::new();
    for number in 1..=4 {
        before.push(has(&deployment, number).await?);
    }
    assert!(before.iter().all(|(people, _)| *people == 12), "{before:?}");
    assert_eq!(first["payments"], before.iter().map(|(_, payments)| payments).sum::<usize>());

    // Again: the same, and nothing twice. Then some more of the same.
    let again: Value = serde_json::from_str(run(demo(&deployment, &order)?).await?.success()?.trim())?;
    let counts = ["people", "addresses", "devices", "payments", "tickets", "failed"];
    assert!(counts.iter().all(|word| first[word] == again[word]), "{first} {again}");
    assert_eq!(has(&deployment, 3).await?, before[2]);
    let more = run(demo(&deployment, &["--companies", "1", "--people", "15", "--parallel", "1"])?).await?.success()?;
    assert!(more.contains("1 company, 15 people, ") && more.contains(", 0 failed\n"), "{more}");
    assert!(
        more.ends_with(
            "Sign in as owner1.seed1@demo.example.com with \"correct horse battery staple\"; anybody can.\n"
        )
    );
    assert_eq!((has(&deployment, 1).await?.0, has(&deployment, 2).await?.0), (15, 12));

    for process in [crm, migrator, catalog] {
        process.stop("TERM").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_instance_it_has_one_and_leaves_nothing() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let port = free_in_a_row(3)?.to_string();
    let command = |arguments: &[&str]| {
        let mut command = program("tenantry")?;
        command.args(["demo", "--port", &port]).args(arguments).env("TMPDIR", folder.path());
        anyhow::Ok(command)
    };
    let said = run(command(&["--companies", "2", "--people", "10", "--seed", "7"])?).await?.success()?;
    assert!(said.contains("No instance runs on") && said.contains("2 companies, 20 people, "), "{said}");
    assert!(said.contains("10 of 20 people\n") && said.ends_with(", 0 failed\n"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 0);

    for wrong in [
        &["--companies", "1"][..],
        &["--people", "10"],
        &["--seed", "2"],
        &["--companies", "1", "--people", "9"],
        &["--companies", "1", "--people", "100001"],
        &["--companies", "0", "--people", "10"],
        &["--companies", "1001", "--people", "10"],
        &["--companies", "1", "--people", "10", "--parallel", "0"],
        &["--companies", "1", "--people", "10", "--retry-for-ms", "0"],
    ] {
        let refused = run(command(wrong)?).await?;
        assert_eq!(code(&refused), Some(2), "{wrong:?}: {refused:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_sign_up_is_told_with_what_to_do() -> anyhow::Result<()> {
    let deployment = Deployment::on_files()?.closed();
    deployment.prepare().await?;
    let catalog = serve(deployment.catalog()?).await?;
    let refused = run(demo(&deployment, &["--companies", "1", "--people", "10"])?).await?;
    assert_eq!(code(&refused), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("SIGN_UP_CLOSED") && refused.stderr.contains("CATALOG_PUBLIC_SIGN_UP=true"));
    catalog.stop("TERM").await.map(drop)
}

//! What is exported can be imported, and is the same.

use tenantry_api::crm::v1::{Address, ImportMode, ListAddressesRequest, ListPeopleRequest, Person, TransferFormat};
use tenantry_testkit::actors::{Actor, Owner};
use tenantry_testkit::sandbox::Sandbox;

use super::{export, import, options};
use crate::support::per_engine;

per_engine!(what_is_exported_is_imported_as_it_was, formulas_are_neutral_in_csv);

const LINES: &str = r#"{"name":"=HYPERLINK(\"x\")","surname":"+1, \"2\"","title":"@a","labels":{"k,":"\"v\"","=":"'=1"}}
{"name":"'=already","surname":"O'Brien","gender":"-","nationality":"''+","education":"a,b;c"}
{"name":"🦀 電子太郎","surname":"مريم","birth_date":"0815-01-02","kind":"STAFF"}
{"name":"Ada","kind":"AGENT","addresses":[{"street":"1, \"High\" Street"},{"phone":"+4915112345678","email":"ada@example.com","primary":true},{"email":"'=x@example.com"}]}
{"name":"-2+3","addresses":[{"phone":"+1234567"}]}"#;

/// Everybody with their addresses, without what is made anew.
async fn everybody(sandbox: &Sandbox, by: &impl Actor) -> anyhow::Result<Vec<(Person, Vec<Address>)>> {
    let request = ListPeopleRequest { page_size: 1_000, ..Default::default() };
    let people = sandbox.people()?.list_people(by.request(request)).await?.into_inner().people;
    let request = ListAddressesRequest { page_size: 1_000, ..Default::default() };
    let listed = sandbox.clients().addresses()?.list_addresses(by.request(request)).await?.into_inner().addresses;
    let mut everybody = Vec::new();
    for person in people {
        let own = listed.iter().filter(|address| address.person_id == person.id).cloned();
        let (id, person_id) = (String::new(), String::new());
        let bare = |address| Address {
            id: id.clone(),
            person_id: person_id.clone(),
            create_time: None,
            update_time: None,
            ..address
        };
        let mut addresses: Vec<_> = own.map(bare).collect();
        // The primary one comes first in a file.
        addresses.sort_by_key(|address| !address.primary);
        everybody.push((Person { id: String::new(), create_time: None, update_time: None, ..person }, addresses));
    }
    Ok(everybody)
}

async fn what_is_exported_is_imported_as_it_was(sandbox: &Sandbox) -> anyhow::Result<()> {
    let first = Owner::of_new_company(sandbox, "First").await?;
    let json = options(TransferFormat::JsonLines, ImportMode::AllOrNothing);
    let many = (0..1_200).map(|n| format!("\n{{\"name\":\"P{n}\",\"surname\":\"{}\"}}", "x".repeat(150)));
    let file = LINES.to_owned() + &many.collect::<String>();
    let outcome = import(sandbox, &first, json, file.as_bytes()).await?;
    assert_eq!(outcome.counts(), Some((1_205, 1_205, 0)), "{outcome:?}");
    let expected = everybody(sandbox, &first).await?;
    assert_eq!(expected[3].1.len(), 3);

    for format in [TransferFormat::Csv, TransferFormat::JsonLines] {
        let file = export(sandbox, &first, format).await?;
        let second = Owner::of_new_company(sandbox, "Second").await?;
        let outcome = import(sandbox, &second, options(format, ImportMode::AllOrNothing), &file).await?;
        assert_eq!(outcome.counts(), Some((1_205, 1_205, 0)), "{outcome:?}");
        assert_eq!(everybody(sandbox, &second).await?, expected, "{format:?}");
    }
    Ok(())
}

async fn formulas_are_neutral_in_csv(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Formulas").await?;
    // Nobody is in it: a header, or nothing.
    assert!(export(sandbox, &owner, TransferFormat::Csv).await?.starts_with(b"id,kind,title,name,"));
    assert!(export(sandbox, &owner, TransferFormat::JsonLines).await?.is_empty());

    let json = options(TransferFormat::JsonLines, ImportMode::BestEffort);
    import(sandbox, &owner, json, LINES.as_bytes()).await?;
    let file = String::from_utf8(export(sandbox, &owner, TransferFormat::Csv).await?)?;
    assert!(file.contains(",\"'=HYPERLINK(\"\"x\"\")\",\"'+1, \"\"2\"\"\","), "{file}");
    assert!(file.contains(",'+4915112345678,"), "{file}");
    let cells = file.lines().flat_map(|line| line.split(','));
    let begins = |cell: &&str| cell.trim_start_matches('"').starts_with(['=', '+', '@']);
    assert_eq!(cells.filter(begins).collect::<Vec<_>>(), Vec::<&str>::new());
    Ok(())
}

//! What an import makes of its rows.

use tenantry_api::crm::v1::{
    CreatePlaceRequest, ImportMode, ImportOptions, ListAddressesRequest, ListAuditEntriesRequest, Place, PlaceKind,
    SearchPeopleRequest, TransferFormat,
};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Member, Owner};
use tenantry_testkit::sandbox::Sandbox;
use uuid::Uuid;

use super::{Sending, csv, import, names, options};
use crate::lifecycle::Operations;
use crate::support::{fields, per_engine, reason};

per_engine!(
    rows_become_people_with_addresses_who_are_found_and_audited,
    rows_that_are_refused_are_told_and_left_out,
    all_or_nothing_leaves_nothing,
    a_repeated_import_is_the_same_import,
    validate_only_writes_nothing,
    a_caller_who_goes_away_leaves_whole_batches_or_nothing,
    a_company_that_is_suspended_half_way_ends_the_stream,
    imports_at_once_do_not_meet,
    a_viewer_does_not_import,
);

async fn rows_become_people_with_addresses_who_are_found_and_audited(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Imported").await?;
    let place = Place {
        kind: PlaceKind::Country.into(),
        name: "Tanzania".into(),
        country_code: "TZ".into(),
        ..Place::default()
    };
    let create = CreatePlaceRequest { place: Some(place), ..Default::default() };
    let place = sandbox.clients().places()?.create_place(owner.request(create)).await?.into_inner();
    let file = format!(
        "\u{feff}surname,name,birth_date,kind,labels,phone,email,place_id,more_addresses\r\n\
         Lovelace,Ada,1815-12-10,AGENT,\"{{\"\"tier\"\":\"\"gold\"\"}}\",'+4915112345678,ada@example.com,{},\r\n\
         \r\n\
         \"O'Brien, \"\"the\"\"\",Élise,,,,,,,\"[{{\"\"email\"\":\"\"quux@example.com\"\"}},{{\"\"street\"\":\"\"Rue 1\"\"}}]\"\r\n\
         ,電子太郎,,,,,,,",
        place.id
    );
    let outcome = import(sandbox, &owner, csv(ImportMode::BestEffort), file.as_bytes()).await?;
    assert_eq!(outcome.counts(), Some((3, 3, 0)), "{outcome:?}");
    let bytes = i64::try_from(file.len())?;
    assert_eq!(outcome.summary.as_ref().map(|summary| summary.bytes_read), Some(bytes));
    assert_eq!(outcome.progress.last().map(|progress| (progress.rows_read, progress.rows_written)), Some((3, 3)));
    assert_eq!(names(sandbox, &owner).await?, ["Ada", "Élise", "電子太郎"]);

    let mut people = sandbox.people()?;
    for (query, name) in [("elise obrien", "Élise"), ("112345", "Ada"), ("太郎", "電子太郎"), ("QUUX", "Élise")]
    {
        let request = SearchPeopleRequest { query: query.into(), ..Default::default() };
        let found = people.search_people(owner.request(request)).await?.into_inner().people;
        assert_eq!(found.iter().map(|person| &*person.name).collect::<Vec<_>>(), [name], "{query}");
    }
    let listed = sandbox.clients().addresses()?.list_addresses(owner.request(ListAddressesRequest::default())).await?;
    let told: Vec<_> =
        listed.into_inner().addresses.into_iter().map(|it| (it.email, it.place_id, it.primary)).collect();
    let expected = [("ada@example.com", &*place.id, true), ("quux@example.com", "", true), ("", "", false)];
    assert_eq!(told.iter().map(|(email, place, primary)| (&**email, &**place, *primary)).collect::<Vec<_>>(), expected);

    let request = ListAuditEntriesRequest::default();
    let entries = sandbox.clients().audit()?.list_audit_entries(owner.request(request)).await?.into_inner();
    let count = |action: &str| entries.entries.iter().filter(|entry| entry.action == action).count();
    assert_eq!((count("person.created"), count("address.created"), count("place.created")), (3, 3, 1));
    Ok(())
}

async fn rows_that_are_refused_are_told_and_left_out(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Mixed").await?;
    let nowhere = Uuid::now_v7();
    let file = format!(
        "name,birth_date,kind,email,place_id,labels,more_addresses\n\
         First,,,,,,\n\
         ,1815-13-40,PIRATE,nobody,,,\n\
         Unborn,2999-01-01,,,{nowhere},,\n\
         Few,,\n\
         \"Line\nbreak\",,,,,,\n\
         Odd\"quote,,,,,,\n\
         Lists,,,,,[],[1]\n\
         Bare,,,,,,\"[{{}}]\"\n\
         Last,,,,,,\n"
    );
    let outcome = import(sandbox, &owner, csv(ImportMode::BestEffort), file.as_bytes()).await?;
    assert_eq!(outcome.counts(), Some((9, 2, 7)), "{outcome:?}");
    let mut flaws = outcome.flaws();
    flaws.sort_unstable();
    let expected = [
        (2, vec!["person.birth_date", "person.kind", "person.name", "addresses[0].email"]),
        (3, vec!["person.birth_date", "addresses[0].place_id"]),
        (4, vec!["row"]),
        (5, vec!["person.name"]),
        (6, vec!["row"]),
        (7, vec!["person.labels", "more_addresses"]),
        (8, vec!["addresses[0]"]),
    ];
    let sorted = |mut flaws: Vec<(i64, Vec<&'static str>)>| {
        flaws.iter_mut().for_each(|(_, fields)| fields.sort_unstable());
        flaws
    };
    flaws.iter_mut().for_each(|(_, fields)| fields.sort_unstable());
    assert_eq!(flaws, sorted(expected.to_vec()));
    assert_eq!(names(sandbox, &owner).await?, ["First", "Last"]);

    let lines = "{\"name\":\"A\",\"addresses\":[{\"phone\":\"+1234567\"},{\"phone\":\"0\",\"primary\":true}]}\n\
                 {\"name\":\"B\",\"nick\":\"b\"}\n\
                 not json\n\
                 {\"name\":\"C\",\"labels\":{\"k\":\"v\"},\"kind\":\"staff\"}";
    let json = options(TransferFormat::JsonLines, ImportMode::BestEffort);
    let outcome = import(sandbox, &owner, json, lines.as_bytes()).await?;
    assert_eq!(outcome.counts(), Some((4, 1, 3)), "{outcome:?}");
    assert_eq!(outcome.flaws(), [(1, vec!["addresses[1].phone"]), (2, vec!["row"]), (3, vec!["row"])]);
    assert_eq!(names(sandbox, &owner).await?, ["First", "Last", "C"]);
    Ok(())
}

async fn all_or_nothing_leaves_nothing(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Whole").await?;
    let rows = |count: usize| (0..count).map(|n| format!("P{n}\n")).collect::<String>();
    // The flaw is in the third batch; what follows is looked at too.
    let file = format!("name\n{}\"\"\n{}\"\"\n", rows(1_200), rows(700));
    let outcome = import(sandbox, &owner, csv(ImportMode::AllOrNothing), file.as_bytes()).await?;
    assert_eq!(outcome.counts(), Some((1_902, 0, 2)), "{outcome:?}");
    assert_eq!(outcome.flaws(), [(1_201, vec!["person.name"]), (1_902, vec!["person.name"])]);
    assert_eq!(outcome.reason(), Some(Reason::ImportRefused));
    assert!(names(sandbox, &owner).await?.is_empty());

    let outcome =
        import(sandbox, &owner, csv(ImportMode::AllOrNothing), format!("name\n{}", rows(1_200)).as_bytes()).await?;
    assert_eq!((outcome.counts(), outcome.reason()), (Some((1_200, 1_200, 0)), None));
    assert_eq!(names(sandbox, &owner).await?.len(), 1_200);
    Ok(())
}

async fn a_repeated_import_is_the_same_import(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Once").await?;
    let request_id = Uuid::now_v7().to_string();
    let once = ImportOptions { request_id: request_id.clone(), ..csv(ImportMode::AllOrNothing) };
    for replayed in [false, true] {
        let outcome = import(sandbox, &owner, once.clone(), b"name\nA\nB\n").await?;
        let summary = outcome.summary.as_ref().map(|summary| (summary.rows_written, summary.replayed));
        assert_eq!(summary, Some((2, replayed)), "{outcome:?}");
    }
    assert_eq!(names(sandbox, &owner).await?, ["A", "B"]);
    let other = ImportOptions { format: TransferFormat::JsonLines.into(), ..once.clone() };
    assert_eq!(import(sandbox, &owner, other, b"{}").await?.reason(), Some(Reason::RequestIdReused));
    let effort = ImportOptions { request_id, ..csv(ImportMode::BestEffort) };
    assert_eq!(fields(ended(import(sandbox, &owner, effort, b"name\n").await?)), ["options.request_id"]);
    Ok(())
}

/// How it ended, as of a call.
fn ended(outcome: super::Outcome) -> Result<(), tonic::Status> {
    outcome.refusal.map_or(Ok(()), Err)
}

async fn validate_only_writes_nothing(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Looked at").await?;
    for mode in [ImportMode::AllOrNothing, ImportMode::BestEffort] {
        let look = ImportOptions { validate_only: true, ..csv(mode) };
        let outcome = import(sandbox, &owner, look, b"name,birth_date\nA,\nB,2999-01-01\nC,\n").await?;
        assert_eq!((outcome.counts(), outcome.flaws()), (Some((3, 2, 1)), vec![(2, vec!["person.birth_date"])]));
        assert_eq!(outcome.reason(), None);
    }
    assert!(names(sandbox, &owner).await?.is_empty());
    Ok(())
}

async fn a_caller_who_goes_away_leaves_whole_batches_or_nothing(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Broken off").await?;
    let rows = (0..700).map(|n| format!("P{n}\n")).collect::<String>();
    for mode in [ImportMode::AllOrNothing, ImportMode::BestEffort] {
        let mut sending = Sending::begin(sandbox, &owner, csv(mode)).await?;
        sending.send(format!("name\n{rows}").as_bytes()).await;
        assert_eq!(sending.progress().await?.rows_written, 500);
        drop(sending);
        // Another who writes waits for nothing that is left behind.
        let outcome = import(sandbox, &owner, csv(ImportMode::BestEffort), b"name\nAfter\n").await?;
        assert_eq!(outcome.counts(), Some((1, 1, 0)), "{outcome:?}");
    }
    assert_eq!(names(sandbox, &owner).await?.len(), 2 + 500);
    Ok(())
}

async fn a_company_that_is_suspended_half_way_ends_the_stream(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    for (mode, left) in [(ImportMode::AllOrNothing, 0), (ImportMode::BestEffort, 500)] {
        let owner = Owner::of_new_company(sandbox, "Suspended").await?;
        let rows = (0..500).map(|n| format!("P{n}\n")).collect::<String>();
        let mut sending = Sending::begin(sandbox, &owner, csv(mode)).await?;
        sending.send(format!("name\n{rows}").as_bytes()).await;
        assert_eq!(sending.progress().await?.rows_written, 500);
        operations.suspend(&owner.company.id).await?;
        crate::processes::eventually("the suspension", async || {
            let listed = sandbox.people()?.list_people(owner.request(Default::default())).await;
            Ok(listed.is_err().then_some(()))
        })
        .await?;
        sending.send(rows.as_bytes()).await;
        assert_eq!(sending.end().await.reason(), Some(Reason::TenantSuspended));
        operations.resume(&owner.company.id).await?;
        // The token of before is stale.
        let Owner { company, email, .. } = owner;
        let owner = Owner::of(sandbox, company, email).await?;
        crate::processes::eventually("the end of it", async || {
            Ok(sandbox.people()?.list_people(owner.request(Default::default())).await.is_ok().then_some(()))
        })
        .await?;
        assert_eq!(names(sandbox, &owner).await?.len(), left);
    }
    Ok(())
}

async fn imports_at_once_do_not_meet(sandbox: &Sandbox) -> anyhow::Result<()> {
    let (one, two) = (Owner::of_new_company(sandbox, "One").await?, Owner::of_new_company(sandbox, "Two").await?);
    let rows = |of: &str| format!("name\n{}", (0..1_100).map(|n| format!("{of}{n}\n")).collect::<String>());
    let (a, b, c) = (rows("a"), rows("b"), rows("c"));
    let (first, second, third) = tokio::join!(
        import(sandbox, &one, csv(ImportMode::BestEffort), a.as_bytes()),
        import(sandbox, &one, csv(ImportMode::BestEffort), b.as_bytes()),
        import(sandbox, &two, csv(ImportMode::AllOrNothing), c.as_bytes()),
    );
    for outcome in [first?, second?, third?] {
        assert_eq!(outcome.counts(), Some((1_100, 1_100, 0)), "{outcome:?}");
    }
    let (mut ours, theirs) = (names(sandbox, &one).await?, names(sandbox, &two).await?);
    ours.sort_unstable();
    ours.dedup();
    assert_eq!((ours.len(), theirs.len()), (2_200, 1_100));
    assert!(theirs.iter().all(|name| name.starts_with('c')));
    Ok(())
}

async fn a_viewer_does_not_import(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Seen").await?;
    let viewer = Member::invited_by(sandbox, &owner, "viewer").await?;
    let refused = Sending::begin(sandbox, &viewer, csv(ImportMode::BestEffort)).await.map(|_| ());
    assert_eq!(reason(refused), Some(Reason::ScopeMissing));
    Ok(())
}

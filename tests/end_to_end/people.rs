//! People, in the database of their company and in no other.

use tenantry_api::crm::v1::{
    CreatePersonRequest, Date, DeletePersonRequest, GetPersonRequest, ListPeopleRequest, Person, PersonKind,
    UpdatePersonRequest,
};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Member, Owner};
use tenantry_testkit::sandbox::Sandbox;

use crate::support::{per_engine, reason};

per_engine!(
    a_person_is_written_read_changed_and_removed,
    companies_do_not_see_each_other,
    the_same_request_id_is_the_same_person,
    an_etag_guards_a_change,
    a_viewer_reads_and_does_not_write,
    pages_go_through_everybody_once,
);

fn ada() -> Person {
    Person {
        kind: PersonKind::Agent.into(),
        title: "Countess".into(),
        name: "Ada".into(),
        surname: "Lovelace \"'; 電".into(),
        birth_date: Some(Date { year: 1815, month: 12, day: 10 }),
        gender: "female".into(),
        education: "mathematics".into(),
        nationality: "British".into(),
        labels: [("tier".into(), "gold".into())].into(),
        ..Default::default()
    }
}

fn named(name: &str) -> CreatePersonRequest {
    let person = Person { name: name.into(), ..Default::default() };
    CreatePersonRequest { person: Some(person), ..Default::default() }
}

async fn a_person_is_written_read_changed_and_removed(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "One").await?;
    let mut people = sandbox.people()?;
    let create = CreatePersonRequest { person: Some(ada()), request_id: String::new() };
    let created = people.create_person(owner.request(create)).await?.into_inner();
    let output_only = |person: Person| Person {
        id: created.id.clone(),
        create_time: created.create_time,
        update_time: created.update_time,
        etag: created.etag.clone(),
        ..person
    };
    assert_eq!(created, output_only(ada()));
    let get = GetPersonRequest { id: created.id.clone() };
    assert_eq!(people.get_person(owner.request(get.clone())).await?.into_inner(), created);

    let change = UpdatePersonRequest {
        person: Some(Person {
            id: created.id.clone(),
            name: "Augusta".into(),
            title: "ignored".into(),
            ..Default::default()
        }),
        update_mask: Some(prost_types_mask(&["name", "birth_date"])),
    };
    let updated = people.update_person(owner.request(change)).await?.into_inner();
    assert_eq!((updated.name.as_str(), updated.title.as_str()), ("Augusta", "Countess"));
    assert_eq!(updated.birth_date, None);
    assert_ne!(updated.etag, created.etag);

    people.delete_person(owner.request(DeletePersonRequest { id: created.id.clone(), etag: String::new() })).await?;
    assert_eq!(reason(people.get_person(owner.request(get)).await), Some(Reason::PersonNotFound));
    Ok(())
}

fn prost_types_mask(paths: &[&str]) -> prost_types::FieldMask {
    prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }
}

async fn companies_do_not_see_each_other(sandbox: &Sandbox) -> anyhow::Result<()> {
    let one = Owner::of_new_company(sandbox, "One").await?;
    let two = Owner::of_new_company(sandbox, "Two").await?;
    let mut people = sandbox.people()?;
    let theirs = people.create_person(one.request(named("Theirs"))).await?.into_inner();

    let listed = people.list_people(two.request(ListPeopleRequest::default())).await?.into_inner();
    assert!(listed.people.is_empty());
    let get = GetPersonRequest { id: theirs.id.clone() };
    assert_eq!(reason(people.get_person(two.request(get)).await), Some(Reason::PersonNotFound));
    let change =
        UpdatePersonRequest { person: Some(Person { name: "Mine".into(), ..theirs.clone() }), update_mask: None };
    assert_eq!(reason(people.update_person(two.request(change)).await), Some(Reason::PersonNotFound));
    let delete = DeletePersonRequest { id: theirs.id.clone(), etag: String::new() };
    assert_eq!(reason(people.delete_person(two.request(delete)).await), Some(Reason::PersonNotFound));

    let still = people.get_person(one.request(GetPersonRequest { id: theirs.id.clone() })).await?.into_inner();
    assert_eq!(still, theirs);
    Ok(())
}

async fn the_same_request_id_is_the_same_person(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "One").await?;
    let mut people = sandbox.people()?;
    let request = CreatePersonRequest { request_id: uuid::Uuid::now_v7().to_string(), ..named("Once") };
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (mut people, request) = (people.clone(), owner.request(request.clone()));
        calls.spawn(async move { people.create_person(request).await });
    }
    let mut ids = std::collections::BTreeSet::new();
    while let Some(call) = calls.join_next().await {
        ids.insert(call??.into_inner().id);
    }
    assert_eq!(ids.len(), 1);
    let other = CreatePersonRequest { request_id: request.request_id, ..named("Another") };
    assert_eq!(reason(people.create_person(owner.request(other)).await), Some(Reason::RequestIdReused));
    Ok(())
}

async fn an_etag_guards_a_change(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "One").await?;
    let mut people = sandbox.people()?;
    let first = people.create_person(owner.request(named("First"))).await?.into_inner();
    let change = |person: &Person, name: &str| UpdatePersonRequest {
        person: Some(Person { name: name.into(), ..person.clone() }),
        update_mask: None,
    };
    people.update_person(owner.request(change(&first, "Second"))).await?;
    let stale = people.update_person(owner.request(change(&first, "Third"))).await;
    assert_eq!(reason(stale), Some(Reason::EtagMismatch));
    let delete = DeletePersonRequest { id: first.id.clone(), etag: first.etag };
    assert_eq!(reason(people.delete_person(owner.request(delete)).await), Some(Reason::EtagMismatch));
    Ok(())
}

async fn a_viewer_reads_and_does_not_write(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "One").await?;
    let viewer = Member::invited_by(sandbox, &owner, "viewer").await?;
    let mut people = sandbox.people()?;
    people.create_person(owner.request(named("Seen"))).await?;
    let listed = people.list_people(viewer.request(ListPeopleRequest::default())).await?.into_inner();
    assert_eq!(listed.people.len(), 1);
    assert_eq!(reason(people.create_person(viewer.request(named("Unseen"))).await), Some(Reason::ScopeMissing));
    let member = Member::invited_by(sandbox, &owner, "member").await?;
    people.create_person(member.request(named("By a member"))).await?;
    Ok(())
}

async fn pages_go_through_everybody_once(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "One").await?;
    let mut people = sandbox.people()?;
    for n in 0..7 {
        people.create_person(owner.request(named(&format!("P{n}")))).await?;
    }
    let (mut names, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListPeopleRequest { page_size: 3, page_token, ..Default::default() };
        let page = people.list_people(owner.request(request)).await?.into_inner();
        names.extend(page.people.into_iter().map(|person| person.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["P0", "P1", "P2", "P3", "P4", "P5", "P6"]);
    Ok(())
}

//! The audit trail: every change has its entry, and nothing else has one.

use std::collections::BTreeMap;

use tenantry_api::crm::v1::{
    Address, AuditEntry, CreateAddressRequest, CreatePersonRequest, DeleteAddressRequest, ListAuditEntriesRequest,
    Money, Person, Transaction, UpdatePersonRequest,
};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Member, Owner};
use tenantry_testkit::sandbox::Sandbox;

use super::devices::Maker;
use crate::support::{fields, per_engine, reason};

per_engine!(every_change_has_an_entry_with_before_and_after, only_admins_read_the_trail);

async fn entries(
    sandbox: &Sandbox,
    owner: &Owner,
    request: ListAuditEntriesRequest,
) -> anyhow::Result<Vec<AuditEntry>> {
    let (mut all, mut request) = (Vec::new(), request);
    loop {
        let mut audit = sandbox.clients().audit()?;
        let page = audit.list_audit_entries(owner.request(request.clone())).await?.into_inner();
        all.extend(page.entries);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(all);
        }
    }
}

fn text<'a>(state: &'a Option<prost_types::Struct>, field: &str) -> Option<&'a str> {
    match state.as_ref()?.fields.get(field)?.kind.as_ref()? {
        prost_types::value::Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

async fn every_change_has_an_entry_with_before_and_after(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Trail").await?;
    let mut people = sandbox.people()?;
    let person = Person { name: "Ada \"'; 電".into(), ..Default::default() };
    let request_id = uuid::Uuid::now_v7().to_string();
    let create = CreatePersonRequest { person: Some(person), request_id };
    let ada = people.create_person(owner.request(create.clone())).await?.into_inner();
    // A repetition changes nothing, and is no entry.
    people.create_person(owner.request(create)).await?;
    let change = Person { id: ada.id.clone(), name: "Augusta".into(), ..Default::default() };
    let change = UpdatePersonRequest { person: Some(change), update_mask: None };
    people.update_person(owner.request(change.clone())).await?;
    // Nor is what is refused.
    let stale = Person { etag: ada.etag.clone(), ..change.person.unwrap_or_default() };
    let stale = UpdatePersonRequest { person: Some(stale), update_mask: None };
    assert_eq!(reason(people.update_person(owner.request(stale)).await), Some(Reason::EtagMismatch));

    let mut addresses = sandbox.clients().addresses()?;
    let mut streets = Vec::new();
    for street in ["One", "Two"] {
        let address = Address { person_id: ada.id.clone(), street: street.into(), ..Default::default() };
        let request = CreateAddressRequest { address: Some(address), ..Default::default() };
        streets.push(addresses.create_address(owner.request(request)).await?.into_inner().id);
    }
    // The second becomes primary: an entry of its own.
    let delete = DeleteAddressRequest { id: streets[0].clone(), etag: String::new() };
    addresses.delete_address(owner.request(delete)).await?;
    let make = Maker::new(sandbox, &owner);
    make.meter(&make.manufacturer("Acme").await?, "S1", &ada.id).await?;
    let payment = Transaction {
        provider: "mpesa".into(),
        external_id: "1".into(),
        person_id: ada.id.clone(),
        amount: Some(Money { currency_code: "KES".into(), units: 5, nanos: 0 }),
        ..Default::default()
    };
    let payment = tenantry_api::crm::v1::CreateTransactionRequest { transaction: Some(payment) };
    sandbox.clients().transactions()?.create_transaction(owner.request(payment)).await?;

    let all = entries(sandbox, &owner, ListAuditEntriesRequest { page_size: 2, ..Default::default() }).await?;
    let actions: Vec<_> = all.iter().rev().map(|entry| entry.action.as_str()).collect();
    let expected = [
        "person.created",
        "person.updated",
        "address.created",
        "address.created",
        "address.deleted",
        "address.updated",
        "manufacturer.created",
        "device.created",
        "transaction.created",
    ];
    assert_eq!(actions, expected);
    assert!(all.iter().all(|entry| entry.actor.starts_with("user:")), "{all:?}");
    let ids: BTreeMap<_, _> = all.iter().map(|entry| (&entry.id, ())).collect();
    assert_eq!(ids.len(), all.len());

    let of_ada = ListAuditEntriesRequest { entity_id: ada.id.clone(), ..Default::default() };
    let [updated, created] = &entries(sandbox, &owner, of_ada).await?[..] else { panic!("two entries") };
    assert_eq!((created.before.as_ref(), text(&created.after, "name")), (None, Some("Ada \"'; 電")));
    assert_eq!((text(&updated.before, "name"), text(&updated.after, "name")), (Some("Ada \"'; 電"), Some("Augusta")));
    let deleted = ListAuditEntriesRequest { action: "address.deleted".into(), ..Default::default() };
    let [deleted] = &entries(sandbox, &owner, deleted).await?[..] else { panic!("one entry") };
    assert_eq!((text(&deleted.before, "street"), deleted.after.as_ref()), (Some("One"), None));
    assert_eq!((&deleted.entity_id, &*deleted.entity), (&streets[0], "address"));
    let between = ListAuditEntriesRequest {
        occur_time_from: deleted.occur_time,
        entity: "address".into(),
        actor: deleted.actor.clone(),
        ..Default::default()
    };
    assert_eq!(entries(sandbox, &owner, between).await?.len(), 2);
    Ok(())
}

async fn only_admins_read_the_trail(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Readers").await?;
    let mut audit = sandbox.clients().audit()?;
    let member = Member::invited_by(sandbox, &owner, "member").await?;
    let refused = audit.list_audit_entries(member.request(ListAuditEntriesRequest::default())).await;
    assert_eq!(reason(refused), Some(Reason::ScopeMissing));
    let admin = Member::invited_by(sandbox, &owner, "admin").await?;
    audit.list_audit_entries(admin.request(ListAuditEntriesRequest::default())).await?;
    let wrong = ListAuditEntriesRequest { entity_id: "x".into(), page_size: -1, ..Default::default() };
    let broken = fields(audit.list_audit_entries(admin.request(wrong)).await);
    assert_eq!(broken, ["page_size", "entity_id"]);
    Ok(())
}

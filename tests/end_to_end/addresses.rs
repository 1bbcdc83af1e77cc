//! Addresses: who has any has one primary one, whatever happens at once.

use tenantry_api::crm::v1::address_service_client::AddressServiceClient;
use tenantry_api::crm::v1::{
    Address, CreateAddressRequest, CreatePersonRequest, DeleteAddressRequest, DeletePersonRequest, GetAddressRequest,
    ListAddressesRequest, Person, UpdateAddressRequest,
};
use tenantry_rpc::Reason;
use tenantry_rpc::client::ServiceChannel;
use tenantry_testkit::actors::{Actor, Owner};
use tenantry_testkit::sandbox::Sandbox;

use crate::support::{fields, per_engine, reason};

per_engine!(
    one_address_is_primary_from_the_first_to_the_last,
    one_address_is_primary_whatever_happens_at_once,
    forms_of_addresses_are_checked,
);

async fn person(sandbox: &Sandbox, owner: &Owner) -> anyhow::Result<String> {
    let person = Some(Person { name: "Ada".into(), ..Default::default() });
    let request = CreatePersonRequest { person, ..Default::default() };
    Ok(sandbox.people()?.create_person(owner.request(request)).await?.into_inner().id)
}

fn street(person: &str, street: &str) -> CreateAddressRequest {
    let address = Address { person_id: person.to_owned(), street: street.to_owned(), ..Default::default() };
    CreateAddressRequest { address: Some(address), ..Default::default() }
}

fn primary(mut request: CreateAddressRequest) -> CreateAddressRequest {
    request.address.get_or_insert_default().primary = true;
    request
}

/// Street and whether it is primary, oldest first.
async fn all(
    addresses: &mut AddressServiceClient<ServiceChannel>,
    owner: &Owner,
    person: &str,
) -> anyhow::Result<Vec<(String, bool)>> {
    let request = ListAddressesRequest { person_id: person.to_owned(), ..Default::default() };
    let listed = addresses.list_addresses(owner.request(request)).await?.into_inner().addresses;
    Ok(listed.into_iter().map(|address| (address.street, address.primary)).collect())
}

async fn one_address_is_primary_from_the_first_to_the_last(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Addresses").await?;
    let mut addresses = sandbox.clients().addresses()?;
    let ada = person(sandbox, &owner).await?;
    let first = addresses.create_address(owner.request(street(&ada, "First"))).await?.into_inner();
    assert!(first.primary, "the first is primary");
    let get = GetAddressRequest { id: first.id.clone() };
    assert_eq!(addresses.get_address(owner.request(get.clone())).await?.into_inner(), first);
    let second = addresses.create_address(owner.request(primary(street(&ada, "Second")))).await?.into_inner();
    addresses.create_address(owner.request(street(&ada, "Third"))).await?;
    let pairs = |list: [(&str, bool); 3]| list.map(|(street, primary)| (street.to_owned(), primary)).to_vec();
    let now = all(&mut addresses, &owner, &ada).await?;
    assert_eq!(now, pairs([("First", false), ("Second", true), ("Third", false)]));

    let change = |address: &Address, paths: &[&str], primary| UpdateAddressRequest {
        address: Some(Address { primary, etag: String::new(), ..address.clone() }),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
    };
    let none = addresses.update_address(owner.request(change(&second, &["primary"], false))).await;
    assert_eq!(reason(none), Some(Reason::PrimaryAddressRequired));
    addresses.update_address(owner.request(change(&first, &["primary"], true))).await?;
    let now = all(&mut addresses, &owner, &ada).await?;
    assert_eq!(now, pairs([("First", true), ("Second", false), ("Third", false)]));
    // It has changed when another took its place.
    let stale = UpdateAddressRequest { address: Some(second.clone()), update_mask: None };
    assert_eq!(reason(addresses.update_address(owner.request(stale)).await), Some(Reason::EtagMismatch));

    let delete = DeleteAddressRequest { id: first.id.clone(), etag: String::new() };
    addresses.delete_address(owner.request(delete)).await?;
    assert_eq!(reason(addresses.get_address(owner.request(get)).await), Some(Reason::AddressNotFound));
    assert_eq!(all(&mut addresses, &owner, &ada).await?, pairs([("Second", true), ("Third", false), ("", false)])[..2]);

    let delete = DeletePersonRequest { id: ada.clone(), etag: String::new() };
    sandbox.people()?.delete_person(owner.request(delete)).await?;
    assert!(all(&mut addresses, &owner, &ada).await?.is_empty(), "they go with their person");
    let nobody = addresses.create_address(owner.request(street(&ada, "Nowhere"))).await;
    assert_eq!(reason(nobody), Some(Reason::PersonNotFound));
    Ok(())
}

async fn one_address_is_primary_whatever_happens_at_once(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "At once").await?;
    let mut addresses = sandbox.clients().addresses()?;
    let ada = person(sandbox, &owner).await?;
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..8 {
        let request = street(&ada, &format!("{n}"));
        let request = owner.request(if n % 2 == 0 { primary(request) } else { request });
        let mut addresses = addresses.clone();
        calls.spawn(async move { addresses.create_address(request).await });
    }
    let mut made = Vec::new();
    while let Some(call) = calls.join_next().await {
        made.push(call??.into_inner());
    }
    let primaries = |all: &[(String, bool)]| all.iter().filter(|(_, primary)| *primary).count();
    assert_eq!(primaries(&all(&mut addresses, &owner, &ada).await?), 1);

    // Half become primary, half go.
    for (n, address) in made.into_iter().enumerate() {
        let mut addresses = addresses.clone();
        let change = Address { id: address.id.clone(), primary: true, ..Default::default() };
        let change = owner.request(UpdateAddressRequest { address: Some(change), update_mask: None });
        let delete = owner.request(DeleteAddressRequest { id: address.id, etag: String::new() });
        calls.spawn(async move {
            match n % 2 {
                0 => addresses.update_address(change).await,
                _ => addresses.delete_address(delete).await.map(|_| tonic::Response::new(Address::default())),
            }
        });
    }
    while let Some(call) = calls.join_next().await {
        call??;
    }
    let now = all(&mut addresses, &owner, &ada).await?;
    assert_eq!((now.len(), primaries(&now)), (4, 1));
    Ok(())
}

async fn forms_of_addresses_are_checked(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Forms").await?;
    let mut addresses = sandbox.clients().addresses()?;
    let ada = person(sandbox, &owner).await?;
    let wrong = Address {
        person_id: ada.clone(),
        email: "nobody".into(),
        phone: "0151 123".into(),
        street: "x".repeat(256),
        place_id: "here".into(),
        ..Default::default()
    };
    let request = CreateAddressRequest { address: Some(wrong), request_id: "once".into() };
    let broken = fields(addresses.create_address(owner.request(request)).await);
    assert_eq!(broken, ["address.email", "address.phone", "address.street", "address.place_id", "request_id"]);
    let empty =
        CreateAddressRequest { address: Some(Address { person_id: ada, ..Default::default() }), ..Default::default() };
    assert_eq!(fields(addresses.create_address(owner.request(empty)).await), ["address"]);
    let nobody = fields(addresses.create_address(owner.request(CreateAddressRequest::default())).await);
    assert_eq!(nobody, ["address.person_id"]);
    Ok(())
}

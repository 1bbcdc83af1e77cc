//! Places: a tree of countries, cities and sites.

use tenantry_api::crm::v1::place_service_client::PlaceServiceClient;
use tenantry_api::crm::v1::{
    Address, CreateAddressRequest, CreatePersonRequest, CreatePlaceRequest, DeletePlaceRequest, GetPlaceRequest,
    ListPlacesRequest, Person, Place, PlaceKind, UpdatePlaceRequest,
};
use tenantry_rpc::Reason;
use tenantry_rpc::client::ServiceChannel;
use tenantry_testkit::actors::{Actor, Member, Owner};
use tenantry_testkit::sandbox::Sandbox;
use tonic::Status;

use crate::support::{fields, per_engine, reason};

per_engine!(
    a_tree_grows_changes_and_is_cut_from_its_leaves,
    names_are_taken_once_in_a_parent,
    misfits_are_refused_by_field,
    a_viewer_sees_and_does_not_plant,
);

pub(crate) struct Planter<'a> {
    pub(crate) owner: &'a Owner,
    places: PlaceServiceClient<ServiceChannel>,
}

impl<'a> Planter<'a> {
    pub(crate) fn new(sandbox: &Sandbox, owner: &'a Owner) -> anyhow::Result<Self> {
        Ok(Self { owner, places: sandbox.clients().places()? })
    }

    pub(crate) async fn plant(&mut self, kind: PlaceKind, parent: &str, name: &str) -> Result<Place, Status> {
        let code = if kind == PlaceKind::Country { &name[..2] } else { "" };
        let place = Place {
            kind: kind.into(),
            parent_id: parent.to_owned(),
            name: name.to_owned(),
            country_code: code.to_uppercase(),
            ..Default::default()
        };
        let request = CreatePlaceRequest { place: Some(place), ..Default::default() };
        Ok(self.places.create_place(self.owner.request(request)).await?.into_inner())
    }
}

async fn a_tree_grows_changes_and_is_cut_from_its_leaves(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Tree").await?;
    let mut planter = Planter::new(sandbox, &owner)?;
    let country = planter.plant(PlaceKind::Country, "", "Kenya").await?;
    let city = planter.plant(PlaceKind::City, &country.id, "Nairobi").await?;
    let site = planter.plant(PlaceKind::Site, &city.id, "O'Hara's \"电\" ; --").await?;
    let mut places = sandbox.clients().places()?;
    let read = places.get_place(owner.request(GetPlaceRequest { id: site.id.clone() })).await?.into_inner();
    assert_eq!(read, site);

    let moved = Place { id: site.id.clone(), latitude: Some(-1.25), longitude: Some(0.0), ..Default::default() };
    let change = UpdatePlaceRequest { place: Some(Place { etag: site.etag.clone(), ..moved }), update_mask: None };
    let moved = places.update_place(owner.request(change.clone())).await?.into_inner();
    assert_eq!((moved.latitude, moved.longitude, &moved.name), (Some(-1.25), Some(0.0), &site.name));
    assert_eq!(reason(places.update_place(owner.request(change)).await), Some(Reason::EtagMismatch));

    let under = |parent: &Place| ListPlacesRequest { parent_id: parent.id.clone(), ..Default::default() };
    let listed = places.list_places(owner.request(under(&city))).await?.into_inner().places;
    assert_eq!(listed, [moved]);
    let cities = ListPlacesRequest { kind: PlaceKind::City.into(), ..Default::default() };
    assert_eq!(places.list_places(owner.request(cities)).await?.into_inner().places, std::slice::from_ref(&city));

    let cut = |place: &Place| DeletePlaceRequest { id: place.id.clone(), etag: String::new() };
    assert_eq!(reason(places.delete_place(owner.request(cut(&city))).await), Some(Reason::InUse));
    let create = CreatePersonRequest {
        person: Some(Person { name: "Resident".into(), ..Default::default() }),
        ..Default::default()
    };
    let person = sandbox.people()?.create_person(owner.request(create)).await?.into_inner();
    let lives = Address { person_id: person.id, place_id: site.id.clone(), ..Default::default() };
    let lives = CreateAddressRequest { address: Some(lives), ..Default::default() };
    let lives = sandbox.clients().addresses()?.create_address(owner.request(lives)).await?.into_inner();
    assert_eq!(reason(places.delete_place(owner.request(cut(&site))).await), Some(Reason::InUse));
    let leave = tenantry_api::crm::v1::DeleteAddressRequest { id: lives.id, etag: String::new() };
    sandbox.clients().addresses()?.delete_address(owner.request(leave)).await?;
    for place in [&site, &city, &country] {
        places.delete_place(owner.request(cut(place))).await?;
    }
    let gone = places.get_place(owner.request(GetPlaceRequest { id: city.id })).await;
    assert_eq!(reason(gone), Some(Reason::PlaceNotFound));
    Ok(())
}

async fn names_are_taken_once_in_a_parent(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Names").await?;
    let mut planter = Planter::new(sandbox, &owner)?;
    let (kenya, uganda) =
        (planter.plant(PlaceKind::Country, "", "Kenya").await?, planter.plant(PlaceKind::Country, "", "Uganda").await?);
    assert_eq!(reason(planter.plant(PlaceKind::Country, "", "Kenia").await), Some(Reason::NameTaken));
    planter.plant(PlaceKind::City, &uganda.id, "Busia").await?;

    // The same city from many calls at once: there is one of them.
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let place = Place {
            kind: PlaceKind::City.into(),
            parent_id: kenya.id.clone(),
            name: "Busia".into(),
            ..Default::default()
        };
        let request = owner.request(CreatePlaceRequest { place: Some(place), ..Default::default() });
        let mut places = sandbox.clients().places()?;
        calls.spawn(async move { places.create_place(request).await });
    }
    let mut made = 0;
    while let Some(call) = calls.join_next().await {
        match call? {
            Ok(_) => made += 1,
            refused => assert_eq!(reason(refused), Some(Reason::NameTaken)),
        }
    }
    assert_eq!(made, 1);
    Ok(())
}

async fn misfits_are_refused_by_field(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Misfits").await?;
    let mut planter = Planter::new(sandbox, &owner)?;
    let country = planter.plant(PlaceKind::Country, "", "Kenya").await?;
    assert_eq!(fields(planter.plant(PlaceKind::Site, &country.id, "Site").await), ["place.parent_id"]);
    assert_eq!(fields(planter.plant(PlaceKind::Country, &country.id, "Uganda").await), ["place.parent_id"]);
    assert_eq!(fields(planter.plant(PlaceKind::City, "", "City").await), ["place.parent_id"]);
    assert_eq!(fields(planter.plant(PlaceKind::Unspecified, "x", " ").await).len(), 3);
    let nowhere = planter.plant(PlaceKind::City, &uuid::Uuid::now_v7().to_string(), "City").await;
    assert_eq!(reason(nowhere), Some(Reason::PlaceNotFound));

    let mut places = sandbox.clients().places()?;
    let position = |latitude, longitude| {
        let place = Place { id: country.id.clone(), latitude, longitude, ..Default::default() };
        owner.request(UpdatePlaceRequest { place: Some(place), update_mask: None })
    };
    places.update_place(position(Some(90.0), Some(-180.0))).await?;
    assert_eq!(fields(places.update_place(position(Some(90.1), Some(f64::NAN))).await).len(), 2);
    let place = Place { id: country.id.clone(), ..Default::default() };
    let mask = Some(prost_types::FieldMask { paths: vec!["latitude".into(), "kind".into(), "no".into()] });
    let masked = UpdatePlaceRequest { place: Some(place.clone()), update_mask: mask };
    assert_eq!(fields(places.update_place(owner.request(masked)).await), ["update_mask", "update_mask"]);
    let mask = Some(prost_types::FieldMask { paths: vec!["latitude".into()] });
    let half = UpdatePlaceRequest { place: Some(place), update_mask: mask };
    assert_eq!(fields(places.update_place(owner.request(half)).await), ["place.longitude"]);

    // A token continues the list that it came from, with its filters.
    planter.plant(PlaceKind::City, &country.id, "One").await?;
    let first = ListPlacesRequest { page_size: 1, ..Default::default() };
    let token = places.list_places(owner.request(first)).await?.into_inner().next_page_token;
    let other = ListPlacesRequest { page_token: token, kind: PlaceKind::City.into(), ..Default::default() };
    assert_eq!(fields(places.list_places(owner.request(other)).await), ["page_token"]);
    Ok(())
}

async fn a_viewer_sees_and_does_not_plant(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Viewer").await?;
    let viewer = Member::invited_by(sandbox, &owner, "viewer").await?;
    let mut places = sandbox.clients().places()?;
    places.list_places(viewer.request(ListPlacesRequest::default())).await?;
    let refused = places.create_place(viewer.request(CreatePlaceRequest::default())).await;
    assert_eq!(reason(refused), Some(Reason::ScopeMissing));
    Ok(())
}

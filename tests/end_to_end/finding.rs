//! People found: by filters, in several orders, and by words.

use tenantry_api::crm::v1::device::Details;
use tenantry_api::crm::v1::{
    Address, CreateAddressRequest, CreatePersonRequest, CreateTransactionRequest, DeleteAddressRequest,
    DeletePersonRequest, DeviceKind, EBike, ListPeopleRequest, Money, Person, PersonFilter, PersonKind, PlaceKind,
    SearchPeopleRequest, Transaction, UpdatePersonRequest,
};
use tenantry_api::migrator::v1::rollback_scope::Scope;
use tenantry_api::migrator::v1::{MigrateRequest, RollbackRequest, RollbackScope};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Operator, Owner};
use tenantry_testkit::sandbox::Sandbox;

use super::devices::{Maker, device};
use super::migrations::{BEFORE, HEAD, company, wait_for_version};
use super::places::Planter;
use crate::support::{fields, per_engine, reason};

per_engine!(
    people_are_filtered_by_what_they_are_have_and_paid,
    people_are_sorted_and_pages_stay_right,
    people_are_found_by_words_in_many_scripts,
    whoever_changes_is_found_as_changed,
    people_of_an_older_schema_are_found_after_its_migration,
);

/// A company's people, by few words.
struct Crowd<'a> {
    sandbox: &'a Sandbox,
    owner: &'a Owner,
}

impl Crowd<'_> {
    async fn add(&self, kind: PersonKind, name: &str, surname: &str) -> anyhow::Result<String> {
        let person = Person { kind: kind.into(), name: name.into(), surname: surname.into(), ..Default::default() };
        let request = CreatePersonRequest { person: Some(person), ..Default::default() };
        Ok(self.sandbox.people()?.create_person(self.owner.request(request)).await?.into_inner().id)
    }

    async fn live(&self, address: Address) -> anyhow::Result<Address> {
        let request = CreateAddressRequest { address: Some(address), ..Default::default() };
        let mut addresses = self.sandbox.clients().addresses()?;
        Ok(addresses.create_address(self.owner.request(request)).await?.into_inner())
    }

    async fn pay(&self, person: &str, currency: &str, units: i64) -> anyhow::Result<Transaction> {
        let transaction = Transaction {
            provider: "mpesa".into(),
            external_id: uuid::Uuid::now_v7().to_string(),
            person_id: person.into(),
            amount: Some(Money { currency_code: currency.into(), units, nanos: 1 }),
            ..Default::default()
        };
        let request = self.owner.request(CreateTransactionRequest { transaction: Some(transaction) });
        Ok(self.sandbox.clients().transactions()?.create_transaction(request).await?.into_inner())
    }

    /// The given names of those who are listed, in pages of two.
    async fn list(&self, filter: PersonFilter, order_by: &str) -> anyhow::Result<String> {
        let mut request =
            ListPeopleRequest { page_size: 2, filter: Some(filter), order_by: order_by.into(), ..Default::default() };
        let mut names = Vec::new();
        loop {
            let page = self.sandbox.people()?.list_people(self.owner.request(request.clone())).await?.into_inner();
            names.extend(page.people.into_iter().map(|person| person.name));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                return Ok(names.join(" "));
            }
        }
    }

    /// The names of those who are found, in pages of two.
    async fn find(&self, query: &str) -> anyhow::Result<Vec<String>> {
        let mut request = SearchPeopleRequest { query: query.into(), page_size: 2, ..Default::default() };
        let mut names = Vec::new();
        loop {
            let page = self.sandbox.people()?.search_people(self.owner.request(request.clone())).await?.into_inner();
            names.extend(page.people.into_iter().map(|person| format!("{} {}", person.name, person.surname)));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                return Ok(names);
            }
        }
    }
}

async fn people_are_filtered_by_what_they_are_have_and_paid(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = &Owner::of_new_company(sandbox, "Filters").await?;
    let crowd = Crowd { sandbox, owner };
    let a = crowd.add(PersonKind::Customer, "a", "").await?;
    let b = crowd.add(PersonKind::Agent, "b", "").await?;
    let c = crowd.add(PersonKind::Customer, "c", "").await?;
    crowd.add(PersonKind::Staff, "d", "").await?;
    let any = PersonFilter::default;
    assert_eq!(crowd.list(PersonFilter { kind: PersonKind::Customer.into(), ..any() }, "").await?, "a c");

    let mut planter = Planter::new(sandbox, owner)?;
    let country = planter.plant(PlaceKind::Country, "", "Kenya").await?.id;
    let city = planter.plant(PlaceKind::City, &country, "Nairobi").await?.id;
    let site = planter.plant(PlaceKind::Site, &city, "Site").await?.id;
    let other = planter.plant(PlaceKind::City, &country, "Mombasa").await?.id;
    for (person, place) in [(&a, &site), (&b, &other), (&c, &country)] {
        let (person_id, place_id) = (person.clone(), place.clone());
        crowd.live(Address { person_id, place_id, ..Default::default() }).await?;
    }
    for (place, expected) in [(&country, "a b c"), (&city, "a"), (&site, "a"), (&other, "b")] {
        assert_eq!(crowd.list(PersonFilter { place_id: place.clone(), ..any() }, "").await?, expected);
    }

    let make = Maker::new(sandbox, owner);
    let acme = make.manufacturer("Acme").await?;
    make.meter(&acme, "1", &b).await?;
    make.meter(&acme, "2", &b).await?;
    make.meter(&acme, "3", "").await?;
    let bike = device(&acme, "4", Details::EBike(EBike::default()));
    make.device(tenantry_api::crm::v1::Device { person_id: c.clone(), ..bike }).await??;
    let with = |kind: DeviceKind| PersonFilter { device_kind: kind.into(), ..any() };
    assert_eq!(crowd.list(with(DeviceKind::Meter), "").await?, "b");
    assert_eq!(crowd.list(with(DeviceKind::EBike), "").await?, "c");
    assert_eq!(crowd.list(with(DeviceKind::SolarHomeSystem), "").await?, "");

    let first = crowd.pay(&a, "KES", 10).await?;
    crowd.pay(&b, "USD", 10).await?;
    let last = crowd.pay(&c, "KES", 20).await?;
    let kes = |units, nanos| Some(Money { currency_code: String::new(), units, nanos });
    let paid = |min_total_paid, max_total_paid| PersonFilter {
        currency_code: "KES".into(),
        min_total_paid,
        max_total_paid,
        ..any()
    };
    assert_eq!(crowd.list(paid(kes(10, 1), None), "").await?, "a c");
    assert_eq!(crowd.list(paid(kes(10, 2), None), "").await?, "c");
    assert_eq!(crowd.list(paid(None, kes(20, 0)), "").await?, "a b d", "who has never paid has paid zero");
    assert_eq!(crowd.list(paid(kes(10, 1), kes(10, 1)), "").await?, "a");
    assert_eq!(crowd.list(paid(kes(0, 0), kes(0, 0)), "").await?, "b d");
    let times =
        |from, before| PersonFilter { latest_payment_time_from: from, latest_payment_time_before: before, ..any() };
    assert_eq!(crowd.list(times(first.create_time, last.create_time), "").await?, "a b");
    assert_eq!(crowd.list(times(None, last.create_time), "").await?, "a b", "not who has never paid");
    let get = tenantry_api::crm::v1::GetPersonRequest { id: b.clone() };
    let registered = sandbox.people()?.get_person(owner.request(get)).await?.into_inner().create_time;
    let since = PersonFilter { create_time_from: registered, ..any() };
    assert_eq!(crowd.list(since, "").await?, "b c d");
    let until = PersonFilter { create_time_before: registered, ..any() };
    assert_eq!(crowd.list(until, "").await?, "a");
    let all = PersonFilter {
        kind: PersonKind::Customer.into(),
        place_id: country,
        device_kind: DeviceKind::EBike.into(),
        create_time_from: registered,
        ..paid(kes(1, 0), kes(100, 0))
    };
    assert_eq!(crowd.list(all, "").await?, "c");

    let mut people = sandbox.people()?;
    let wrong = PersonFilter { kind: 9, device_kind: 9, min_total_paid: kes(1, 0), place_id: "x".into(), ..any() };
    let request = ListPeopleRequest { filter: Some(wrong), order_by: "shoe_size".into(), ..Default::default() };
    let broken = fields(people.list_people(owner.request(request)).await);
    let expected = ["order_by", "filter.kind", "filter.place_id", "filter.device_kind", "filter.currency_code"];
    assert_eq!(broken, expected);
    Ok(())
}

async fn people_are_sorted_and_pages_stay_right(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = &Owner::of_new_company(sandbox, "Orders").await?;
    let crowd = Crowd { sandbox, owner };
    let mut ids = Vec::new();
    for (name, surname) in [("a", "Zoe"), ("b", "Éva"), ("c", "eva"), ("d", ""), ("e", "Ärger"), ("f", "eva")] {
        ids.push(crowd.add(PersonKind::Customer, name, surname).await?);
    }
    crowd.pay(&ids[2], "KES", 5).await?;
    crowd.pay(&ids[0], "KES", 5).await?;
    crowd.pay(&ids[4], "KES", 7).await?;
    crowd.pay(&ids[1], "USD", 9).await?;
    let kes = || PersonFilter { currency_code: "KES".into(), ..Default::default() };
    for (order, expected) in [
        ("", "a b c d e f"),
        ("create_time desc", "f e d c b a"),
        ("name", "e d b c f a"),
        ("name desc", "a f c b d e"),
        ("latest_payment_time", "d f c a e b"),
        ("latest_payment_time desc", "b e a c f d"),
        ("total_paid", "b d f a c e"),
        ("total_paid desc", "e c a f d b"),
    ] {
        assert_eq!(crowd.list(kes(), order).await?, expected, "{order}");
    }

    // Whoever comes and goes meanwhile, the others are seen once.
    let mut people = sandbox.people()?;
    let mut request = ListPeopleRequest { page_size: 2, order_by: "name".into(), ..Default::default() };
    let page = people.list_people(owner.request(request.clone())).await?.into_inner();
    crowd.add(PersonKind::Customer, "g", "Aaa").await?;
    let delete = DeletePersonRequest { id: ids[3].clone(), etag: String::new() };
    people.delete_person(owner.request(delete)).await?;
    request.page_token = page.next_page_token;
    let next = people.list_people(owner.request(request.clone())).await?.into_inner();
    assert_eq!(next.people.iter().map(|person| &*person.name).collect::<String>(), "bc");
    let other = ListPeopleRequest { order_by: "name desc".into(), ..request };
    assert_eq!(fields(people.list_people(owner.request(other)).await), ["page_token"]);
    let amounts = ListPeopleRequest { order_by: "total_paid".into(), ..Default::default() };
    assert_eq!(fields(people.list_people(owner.request(amounts)).await), ["filter.currency_code"]);
    Ok(())
}

async fn people_are_found_by_words_in_many_scripts(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = &Owner::of_new_company(sandbox, "Words").await?;
    let crowd = Crowd { sandbox, owner };
    for (name, surname) in [
        ("José", "Müller"),
        ("Josefine", "Muller"),
        ("Jo", "O'Brien \"; DROP TABLE people --"),
        ("電子太郎", "山田"),
        ("مُحَمَّد", "علي"),
        ("Іван", "ФРАНКО"),
        ("สมชาย", ""),
        ("100%", "a_b"),
    ] {
        crowd.add(PersonKind::Customer, name, surname).await?;
    }
    for (query, expected) in [
        ("jose", &["José Müller", "Josefine Muller"][..]),
        ("muller jos", &["José Müller", "Josefine Muller"]),
        ("MÜLLER josé", &["José Müller", "Josefine Muller"]),
        ("obrien", &["Jo O'Brien \"; DROP TABLE people --"]),
        ("jo", &["Jo O'Brien \"; DROP TABLE people --", "José Müller", "Josefine Muller"]),
        ("太郎", &["電子太郎 山田"]),
        ("محمد", &["مُحَمَّد علي"]),
        ("франко іван", &["Іван ФРАНКО"]),
        ("ชาย", &["สมชาย "]),
        ("100", &["100% a_b"]),
        ("a_b", &["100% a_b"]),
        ("ose", &[]),
        ("jose nobody", &[]),
    ] {
        assert_eq!(crowd.find(query).await?, expected, "{query}");
    }
    let mut people = sandbox.people()?;
    for query in ["", "  ", "%", "'", "a b c d e f g h i"] {
        let request = SearchPeopleRequest { query: query.into(), ..Default::default() };
        assert!(!fields(people.search_people(owner.request(request)).await).is_empty(), "{query:?}");
    }
    Ok(())
}

async fn whoever_changes_is_found_as_changed(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = &Owner::of_new_company(sandbox, "Changes").await?;
    let crowd = Crowd { sandbox, owner };
    let ada = crowd.add(PersonKind::Customer, "Ada", "Byron").await?;
    let email = "countess@example.com".to_owned();
    let phone = "+4915112345678".to_owned();
    let address = crowd.live(Address { person_id: ada.clone(), email, phone, ..Default::default() }).await?;
    for query in ["countess", "ada example", "15112345678", "+49 151 12345678"] {
        assert_eq!(crowd.find(query).await?, ["Ada Byron"], "{query}");
    }
    let change = Person { id: ada.clone(), surname: "Lovelace".into(), ..Default::default() };
    let change = UpdatePersonRequest { person: Some(change), update_mask: None };
    sandbox.people()?.update_person(owner.request(change)).await?;
    assert_eq!(crowd.find("byron").await?, Vec::<String>::new());
    assert_eq!(crowd.find("lovelace countess").await?, ["Ada Lovelace"]);
    let delete = DeleteAddressRequest { id: address.id, etag: String::new() };
    sandbox.clients().addresses()?.delete_address(owner.request(delete)).await?;
    assert_eq!(crowd.find("countess").await?, Vec::<String>::new());
    sandbox.people()?.delete_person(owner.request(DeletePersonRequest { id: ada, etag: String::new() })).await?;
    assert_eq!(crowd.find("ada").await?, Vec::<String>::new());
    Ok(())
}

/// Head works with head−1: what that has not is refused by its reason, and made good when it is there.
async fn people_of_an_older_schema_are_found_after_its_migration(sandbox: &Sandbox) -> anyhow::Result<()> {
    let (owner, operator) = (&Owner::of_new_company(sandbox, "Older").await?, Operator::of(sandbox).await?);
    let crowd = Crowd { sandbox, owner };
    crowd.add(PersonKind::Customer, "Before", "Zoe").await?;
    let (target, mut migrations) = (company(&owner.company.id), sandbox.migrations()?);
    let scope = Some(RollbackScope { scope: Some(Scope::Steps(1)) });
    let back = RollbackRequest { target: target.clone(), scope, force: false };
    migrations.rollback(operator.request(back)).await?;
    wait_for_version(sandbox, &operator, &owner.company.id, BEFORE).await?;

    crowd.add(PersonKind::Customer, "Meanwhile", "Adams").await?;
    assert_eq!(crowd.list(PersonFilter::default(), "").await?, "Before Meanwhile");
    let mut people = sandbox.people()?;
    let request = SearchPeopleRequest { query: "before".into(), ..Default::default() };
    assert_eq!(reason(people.search_people(owner.request(request)).await), Some(Reason::SchemaTooOld));
    let request = ListPeopleRequest { order_by: "name".into(), ..Default::default() };
    assert_eq!(reason(people.list_people(owner.request(request)).await), Some(Reason::SchemaTooOld));

    migrations.migrate(operator.request(MigrateRequest { target, version: String::new() })).await?;
    wait_for_version(sandbox, &operator, &owner.company.id, HEAD).await?;
    assert_eq!(crowd.find("before").await?, ["Before Zoe"]);
    assert_eq!(crowd.find("mean").await?, ["Meanwhile Adams"]);
    assert_eq!(crowd.list(PersonFilter::default(), "name").await?, "Meanwhile Before");
    Ok(())
}

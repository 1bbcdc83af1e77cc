//! The tour: two companies, their people, and what keeps them apart. It fails
//! when isolation does not hold.

use anyhow::{Context, bail, ensure};
use tenantry_api::catalog::v1::company_service_client::CompanyServiceClient;
use tenantry_api::catalog::v1::token_service_client::TokenServiceClient;
use tenantry_api::catalog::v1::{Company, CompanyState, LoginRequest, RegisterCompanyRequest};
use tenantry_api::crm::v1::person_service_client::PersonServiceClient;
use tenantry_api::crm::v1::{
    CreatePersonRequest, DeletePersonRequest, GetPersonRequest, ListPeopleRequest, Person, UpdatePersonRequest,
};
use tenantry_ids::{IdSource, SystemIds};
use tenantry_rpc::client::ServiceChannel;
use tenantry_rpc::{Reason, reason_of};
use tonic::{Request, Status};

use super::{PASSWORD, Services};

/// Takes the tour against these services.
pub(super) async fn run(services: Services) -> anyhow::Result<()> {
    let tour = Tour::new(services);
    // Unlike any earlier tour's, so that it can be taken again.
    let tag = SystemIds.uuid().simple().to_string();
    let (sunrise, moonlight) = ("Sunrise Energy", "Robert'); DROP TABLE \"people\";-- 電力 🌙");

    say("1", &format!("register two companies: {sunrise:?} and {moonlight:?}"));
    let one = tour.register(sunrise, &format!("ada.{tag}@example.com")).await?;
    let two = tour.register(moonlight, &format!("bob.{tag}@example.com")).await?;

    say("2", "sign their owners in");
    let ada = tour.login(&format!("ada.{tag}@example.com")).await?;
    let bob = tour.login(&format!("bob.{tag}@example.com")).await?;
    told(&format!("two tokens, each for one company: {} and {}", one.id, two.id));

    say("3", "each adds a person, reads, lists and changes it");
    let grace = tour.work(&ada, "Grace", "Hopper").await?;
    let alan = tour.work(&bob, "Alan", "Turing").await?;

    say("4", "neither sees the other's people");
    tour.isolated(&ada, &alan, &grace).await?;
    tour.isolated(&bob, &grace, &alan).await?;

    say("5", "no token, and a forged one");
    tour.refused(None, Reason::TokenMissing).await?;
    tour.refused(Some(&forged(&ada)), Reason::TokenInvalid).await?;

    say("6", "clean up");
    tour.delete(&ada, &grace).await?;
    tour.delete(&bob, &alan).await?;
    println!("\nThe tour is over: isolation holds.");
    Ok(())
}

fn say(number: &str, what: &str) {
    println!("\n{number}. {what}");
}

fn told(what: &str) {
    println!("   {what}");
}

/// A token whose signature is another's.
fn forged(token: &str) -> String {
    let flipped = if token.ends_with('A') { 'B' } else { 'A' };
    let (front, _) = token.split_at(token.len() - 2);
    format!("{front}{flipped}{flipped}")
}

struct Tour {
    companies: CompanyServiceClient<ServiceChannel>,
    tokens: TokenServiceClient<ServiceChannel>,
    people: PersonServiceClient<ServiceChannel>,
}

impl Tour {
    fn new(services: Services) -> Self {
        Self {
            companies: CompanyServiceClient::new(services.catalog.clone()),
            tokens: TokenServiceClient::new(services.catalog),
            people: PersonServiceClient::new(services.crm),
        }
    }

    async fn register(&self, name: &str, email: &str) -> anyhow::Result<Company> {
        let request = RegisterCompanyRequest {
            name: name.to_owned(),
            owner_email: email.to_owned(),
            owner_password: PASSWORD.to_owned(),
            request_id: SystemIds.uuid().to_string(),
            ..Default::default()
        };
        let company = self.companies.clone().register_company(request).await.map_err(explain)?.into_inner();
        ensure!(company.state() == CompanyState::Active, "{} is {:?}", company.id, company.state());
        told(&format!("{} is ACTIVE as {:?}, with a database of its own", company.id, company.slug));
        Ok(company)
    }

    async fn login(&self, email: &str) -> anyhow::Result<String> {
        let request = LoginRequest { email: email.to_owned(), password: PASSWORD.to_owned(), ..Default::default() };
        Ok(self.tokens.clone().login(request).await.map_err(explain)?.into_inner().access_token)
    }

    async fn work(&self, token: &str, name: &str, surname: &str) -> anyhow::Result<Person> {
        let mut people = self.people.clone();
        let person = Person { name: name.to_owned(), surname: surname.to_owned(), ..Default::default() };
        let request = CreatePersonRequest { person: Some(person), request_id: SystemIds.uuid().to_string() };
        let created = people.create_person(with(token, request)?).await.map_err(explain)?.into_inner();
        let read = people
            .get_person(with(token, GetPersonRequest { id: created.id.clone() })?)
            .await
            .map_err(explain)?
            .into_inner();
        ensure!(read == created, "what was read is not what was written");
        let titled = Person { title: "Dr".to_owned(), ..read };
        let request = UpdatePersonRequest { person: Some(titled), update_mask: None };
        let updated = people.update_person(with(token, request)?).await.map_err(explain)?.into_inner();
        ensure!(updated.title == "Dr", "the change did not last");
        told(&format!("{} {} {} is {}", updated.title, updated.name, updated.surname, updated.id));
        Ok(updated)
    }

    async fn isolated(&self, token: &str, others: &Person, own: &Person) -> anyhow::Result<()> {
        let mut people = self.people.clone();
        let listed =
            people.list_people(with(token, ListPeopleRequest::default())?).await.map_err(explain)?.into_inner().people;
        ensure!(listed.len() == 1 && listed[0].id == own.id, "isolation does not hold: a list has {listed:?}");
        let got = people.get_person(with(token, GetPersonRequest { id: others.id.clone() })?).await;
        expect(got.map(drop), Reason::PersonNotFound).context("isolation does not hold")?;
        told(&format!("a list of one, and NOT_FOUND for {}", others.id));
        Ok(())
    }

    async fn refused(&self, token: Option<&str>, reason: Reason) -> anyhow::Result<()> {
        let request = match token {
            Some(token) => with(token, ListPeopleRequest::default())?,
            None => Request::new(ListPeopleRequest::default()),
        };
        expect(self.people.clone().list_people(request).await.map(drop), reason)?;
        told(&format!("UNAUTHENTICATED/{reason}"));
        Ok(())
    }

    async fn delete(&self, token: &str, person: &Person) -> anyhow::Result<()> {
        let mut people = self.people.clone();
        let request = DeletePersonRequest { id: person.id.clone(), etag: person.etag.clone() };
        people.delete_person(with(token, request)?).await.map_err(explain)?;
        let got = people.get_person(with(token, GetPersonRequest { id: person.id.clone() })?).await;
        expect(got.map(drop), Reason::PersonNotFound)?;
        told(&format!("{} is gone", person.id));
        Ok(())
    }
}

fn with<T>(token: &str, body: T) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(body);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    Ok(request)
}

fn explain(status: Status) -> anyhow::Error {
    let reason = reason_of(&status).map(|reason| reason.as_str()).unwrap_or_default();
    anyhow::anyhow!("{:?} {reason}: {}", status.code(), status.message())
}

fn expect(result: Result<(), Status>, reason: Reason) -> anyhow::Result<()> {
    match result {
        Ok(()) => bail!("expected {reason}, and it was allowed"),
        Err(status) if reason_of(&status) == Some(reason) => Ok(()),
        Err(status) => Err(explain(status).context(format!("expected {reason}"))),
    }
}

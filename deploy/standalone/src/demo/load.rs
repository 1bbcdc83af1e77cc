//! Fills companies through the RPCs: companies first, then their people, from all companies in turn. Nobody is made
//! before there is a call free for them, so however many there are, only those under way are in memory.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use anyhow::Context as _;
use futures_util::{StreamExt, TryStreamExt, stream};
use tenantry_api::catalog::v1::company_service_client::CompanyServiceClient;
use tenantry_api::catalog::v1::token_service_client::TokenServiceClient;
use tenantry_api::catalog::v1::{CompanyState, RegisterCompanyRequest};
use tenantry_api::crm::v1::address_service_client::AddressServiceClient;
use tenantry_api::crm::v1::device_service_client::DeviceServiceClient;
use tenantry_api::crm::v1::manufacturer_service_client::ManufacturerServiceClient;
use tenantry_api::crm::v1::person_service_client::PersonServiceClient;
use tenantry_api::crm::v1::place_service_client::PlaceServiceClient;
use tenantry_api::crm::v1::tariff_service_client::TariffServiceClient;
use tenantry_api::crm::v1::ticket_category_service_client::TicketCategoryServiceClient;
use tenantry_api::crm::v1::ticket_service_client::TicketServiceClient;
use tenantry_api::crm::v1::transaction_service_client::TransactionServiceClient;
use tenantry_api::crm::v1::{
    CreateAddressRequest, CreateDeviceRequest, CreateManufacturerRequest, CreatePersonRequest, CreatePlaceRequest,
    CreateTariffRequest, CreateTicketCategoryRequest, CreateTicketRequest, CreateTransactionRequest,
    ListManufacturersRequest, ListTicketCategoriesRequest, Manufacturer, Place, TicketCategory, device,
};
use tenantry_rpc::{Reason, client, reason_of};

use super::calls::{Failure, Session, repeat};
use super::company::{Company, Thing};
use super::data::Data;
use super::resident::Resident;
use super::totals::Totals;
use super::{Order, PASSWORD, Services};
use crate::operator::{Exit, Output, refusal};

/// As many as a list gives at once: a company has fewer manufacturers and categories.
const PAGE: i32 = 1_000;

/// Why a run ends before everybody is there.
enum Stopped {
    /// What failed, and how.
    Failure(String, Failure),
    Ours(anyhow::Error),
}

/// Fills the companies, and says how it went.
pub(super) async fn run(services: Services, order: &Order, output: &Output, stays: bool) -> anyhow::Result<Exit> {
    let data = &Data::load()?;
    let begun = Instant::now();
    let totals = &Totals::new(order, output)?;
    let loader = &Loader { services, order, totals };
    let stopped = loader.everything(data).await.err();
    totals.finish(begun.elapsed())?;
    match stopped {
        Some(Stopped::Ours(error)) => return Err(error),
        Some(Stopped::Failure(what, failure)) => {
            let (text, exit) = advice(&what, &failure);
            eprintln!("error: {text}");
            return Ok(exit);
        }
        None => {}
    }
    if stays && !output.is_json() {
        let first = Company::new(data, order.seed, 1);
        output.line(&format!("Sign in as {} with {PASSWORD:?}; anybody can.", first.owner_email))?;
    }
    Ok(if totals.failed() == 0 { Exit::Done } else { Exit::Partly })
}

/// What to say of a run that stopped, and how to end.
fn advice(what: &str, failure: &Failure) -> (String, Exit) {
    match failure {
        Failure::GivenUp(status) => (
            format!(
                "{what}: {}\nno answer in the time of --retry-for-ms; the same command goes on where this one stopped",
                refusal(status)
            ),
            Exit::Unreachable,
        ),
        Failure::Refused(status) => {
            let advice = match reason_of(status) {
                Some(Reason::EmailTaken) => {
                    "\nthese companies were made more than 24 hours ago, or by somebody else; choose another --seed"
                }
                Some(Reason::SignUpClosed) => {
                    "\na demo signs its companies up as anybody does: start the catalog with CATALOG_PUBLIC_SIGN_UP=true"
                }
                Some(Reason::RequestIdReused) => "\nanother version of this program made it; choose another --seed",
                _ => "",
            };
            (format!("{what}: {}{advice}", refusal(status)), Exit::Failed)
        }
    }
}

struct Loader<'l> {
    services: Services,
    order: &'l Order,
    totals: &'l Totals<'l>,
}

/// A company that can take people.
struct Ready<'d> {
    company: Company<'d>,
    session: Session,
    /// Ids, in the company's orders.
    places: Vec<String>,
    manufacturers: Vec<String>,
    tariffs: Vec<String>,
    categories: Vec<String>,
}

/// A call of one RPC, in a closure that [`Session::send`] takes.
macro_rules! rpc {
    ($loader:ident, $client:ident :: $method:ident) => {
        |request| {
            let mut client = $client::new($loader.services.crm.clone());
            async move { client.$method(request).await }
        }
    };
}

impl Loader<'_> {
    async fn everything(&self, data: &Data) -> Result<(), Stopped> {
        let numbers = stream::iter(1..=self.order.companies);
        let ready = numbers.map(|number| self.ready(Company::new(data, self.order.seed, number)));
        let ready: Vec<Ready<'_>> = ready.buffered(self.order.parallel).try_collect().await?;
        let people = (0..self.order.people).flat_map(|number| ready.iter().map(move |company| (company, number)));
        let people = stream::iter(people.map(Ok::<_, Stopped>));
        people.try_for_each_concurrent(self.order.parallel, |(company, number)| self.settle(company, number)).await
    }

    /// Registers a company and makes what its people need.
    async fn ready<'d>(&self, company: Company<'d>) -> Result<Ready<'d>, Stopped> {
        let failed = |failure| Stopped::Failure(format!("company {}, {:?}", company.number, company.name), failure);
        let session = self.register(&company).await.map_err(failed)?;
        let named = self.named(&company, &session).await.map_err(failed)?;
        let (places, manufacturers, tariffs, categories) = named;
        Ok(Ready { company, session, places, manufacturers, tariffs, categories })
    }

    async fn register(&self, company: &Company<'_>) -> Result<Session, Failure> {
        let request = RegisterCompanyRequest {
            name: company.name.clone(),
            owner_email: company.owner_email.clone(),
            owner_password: PASSWORD.to_owned(),
            request_id: company.request_id(Thing::Company, [0, 0]).to_string(),
            ..Default::default()
        };
        let companies = CompanyServiceClient::new(self.services.catalog.clone());
        let registered = repeat(self.order.retry_for, |deadline| {
            let (mut companies, request) = (companies.clone(), client::request(request.clone(), deadline));
            async move {
                let answer = companies.register_company(request).await?;
                match answer.get_ref().state() {
                    CompanyState::Provisioning => Err(tonic::Status::unavailable("the company is not ready yet")),
                    _ => Ok(answer),
                }
            }
        });
        let id = registered.await?.id;
        let tokens = TokenServiceClient::new(self.services.catalog.clone());
        Session::open(tokens, (company.owner_email.clone(), id), self.order.retry_for).await
    }

    /// The ids of its places, manufacturers, tariffs and categories.
    async fn named(
        &self,
        company: &Company<'_>,
        session: &Session,
    ) -> Result<(Vec<String>, Vec<String>, Vec<String>, Vec<String>), Failure> {
        let id_of = |thing, position: usize| company.request_id(thing, [position as u64, 0]).to_string();
        let mut places: Vec<String> = Vec::with_capacity(company.places.len());
        for (position, planned) in company.places.iter().enumerate() {
            let parent_id = planned.parent.and_then(|parent| places.get(parent)).cloned().unwrap_or_default();
            let place = Some(Place { parent_id, ..planned.place.clone() });
            let create = CreatePlaceRequest { place, request_id: id_of(Thing::Place, position) };
            places.push(session.send(create, rpc!(self, PlaceServiceClient::create_place)).await?.id);
        }
        let mut manufacturers = Vec::new();
        for (position, manufacturer) in company.manufacturers().enumerate() {
            let request_id = id_of(Thing::Manufacturer, position);
            manufacturers.push(self.manufacturer(session, manufacturer, request_id).await?);
        }
        let mut tariffs = Vec::new();
        for (position, tariff) in company.tariffs().enumerate() {
            let create = CreateTariffRequest { tariff: Some(tariff), request_id: id_of(Thing::Tariff, position) };
            tariffs.push(session.send(create, rpc!(self, TariffServiceClient::create_tariff)).await?.id);
        }
        let mut categories = Vec::new();
        for (position, category) in company.categories().enumerate() {
            let request_id = id_of(Thing::Category, position);
            categories.push(self.category(session, category, request_id).await?);
        }
        Ok((places, manufacturers, tariffs, categories))
    }

    /// New companies may have been seeded with some of them.
    async fn manufacturer(&self, session: &Session, of: Manufacturer, request_id: String) -> Result<String, Failure> {
        let name = of.name.clone();
        let create = CreateManufacturerRequest { manufacturer: Some(of), request_id };
        let taken = match session.send(create, rpc!(self, ManufacturerServiceClient::create_manufacturer)).await {
            Err(Failure::Refused(status)) if reason_of(&status) == Some(Reason::NameTaken) => status,
            other => return Ok(other?.id),
        };
        let list = ListManufacturersRequest { page_size: PAGE, ..Default::default() };
        let list = session.send(list, rpc!(self, ManufacturerServiceClient::list_manufacturers)).await?;
        let found = list.manufacturers.into_iter().find(|other| other.name == name);
        Ok(found.ok_or(Failure::Refused(taken))?.id)
    }

    async fn category(&self, session: &Session, of: TicketCategory, request_id: String) -> Result<String, Failure> {
        let name = of.name.clone();
        let create = CreateTicketCategoryRequest { ticket_category: Some(of), request_id };
        let taken = match session.send(create, rpc!(self, TicketCategoryServiceClient::create_ticket_category)).await {
            Err(Failure::Refused(status)) if reason_of(&status) == Some(Reason::NameTaken) => status,
            other => return Ok(other?.id),
        };
        let list = ListTicketCategoriesRequest { page_size: PAGE, ..Default::default() };
        let list = session.send(list, rpc!(self, TicketCategoryServiceClient::list_ticket_categories)).await?;
        let found = list.ticket_categories.into_iter().find(|other| other.name == name);
        Ok(found.ok_or(Failure::Refused(taken))?.id)
    }

    /// Makes a person with all that hangs on them. A refusal leaves out what is left of them, and the others go on.
    async fn settle(&self, ready: &Ready<'_>, number: u32) -> Result<(), Stopped> {
        let what = || format!("person {number} of company {}", ready.company.number);
        let missing = || Stopped::Ours(anyhow::anyhow!("{} cannot be made up", what()));
        let resident = ready.company.resident(number).ok_or_else(missing)?;
        match self.add(ready, number, resident).await {
            Err(refused @ Failure::Refused(_)) => self.totals.refused(&what(), &refused),
            Err(given_up @ Failure::GivenUp(_)) => return Err(Stopped::Failure(what(), given_up)),
            Ok(()) => {}
        }
        self.totals.done_one().context("nothing can be shown").map_err(Stopped::Ours)
    }

    async fn add(&self, ready: &Ready<'_>, number: u32, resident: Resident) -> Result<(), Failure> {
        let session = &ready.session;
        let request_id =
            |thing, nth: usize| ready.company.request_id(thing, [u64::from(number), nth as u64]).to_string();
        let id = |ids: &[String], position: usize| ids.get(position).cloned().unwrap_or_default();

        let create = CreatePersonRequest { person: Some(resident.person), request_id: request_id(Thing::Person, 0) };
        let person_id = session.send(create, rpc!(self, PersonServiceClient::create_person)).await?.id;
        count(&self.totals.people);

        for (nth, at) in resident.addresses.into_iter().enumerate() {
            let mut address = at.what;
            (address.person_id, address.place_id) = (person_id.clone(), id(&ready.places, at.place));
            let create = CreateAddressRequest { address: Some(address), request_id: request_id(Thing::Address, nth) };
            session.send(create, rpc!(self, AddressServiceClient::create_address)).await?;
            count(&self.totals.addresses);
        }
        let mut devices = Vec::with_capacity(resident.devices.len());
        for (nth, at) in resident.devices.into_iter().enumerate() {
            let mut device = at.what.device;
            (device.person_id, device.place_id) = (person_id.clone(), id(&ready.places, at.place));
            device.manufacturer_id = id(&ready.manufacturers, at.what.manufacturer);
            if let (Some(device::Details::Meter(meter)), Some(tariff)) = (&mut device.details, at.what.tariff) {
                meter.tariff_id = id(&ready.tariffs, tariff);
            }
            let create = CreateDeviceRequest { device: Some(device), request_id: request_id(Thing::Device, nth) };
            devices.push(session.send(create, rpc!(self, DeviceServiceClient::create_device)).await?.id);
            count(&self.totals.devices);
        }
        for payment in resident.payments {
            let mut transaction = payment.transaction;
            match payment.device {
                Some(position) => transaction.device_id = id(&devices, position),
                None => transaction.person_id = person_id.clone(),
            }
            // Its external id makes a repetition harmless.
            let create = CreateTransactionRequest { transaction: Some(transaction) };
            session.send(create, rpc!(self, TransactionServiceClient::create_transaction)).await?;
            count(&self.totals.payments);
        }
        if let Some(new) = resident.ticket {
            let mut ticket = new.ticket;
            (ticket.person_id, ticket.category_id) = (person_id, id(&ready.categories, new.category));
            ticket.device_id = new.device.map(|position| id(&devices, position)).unwrap_or_default();
            let create = CreateTicketRequest { ticket: Some(ticket), request_id: request_id(Thing::Ticket, 0) };
            session.send(create, rpc!(self, TicketServiceClient::create_ticket)).await?;
            count(&self.totals.tickets);
        }
        Ok(())
    }
}

fn count(of: &AtomicU64) {
    of.fetch_add(1, Relaxed);
}

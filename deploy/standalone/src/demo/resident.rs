//! Made-up people: each with what hangs on them, made when asked for and kept nowhere.

use tenantry_api::crm::v1::{
    Address, Date, Device, EBike, Meter, Person, PersonKind, PlaceKind, SolarHomeSystem, Ticket, TicketStatus,
    Transaction, device,
};

use super::company::{Company, Thing, money};
use super::data::{Category, Country, Kind, NANOS};
use super::random::Random;

/// The most bytes in front of the @ of an e-mail address (RFC 5321).
const MAX_LOCAL_BYTES: usize = 64;
/// More than anybody has, so that numbers of things of two people differ.
const MOST_OF_ONE: u64 = 16;
/// External ids are numbers of so many bits.
const EXTERNAL_ID_BITS: u32 = 44;

/// A person with what hangs on them. Ids of what the services make are still missing; positions stand for them.
#[derive(Debug, PartialEq)]
pub(super) struct Resident {
    pub(super) person: Person,
    pub(super) addresses: Vec<At<Address>>,
    pub(super) devices: Vec<At<NewDevice>>,
    pub(super) payments: Vec<Payment>,
    pub(super) ticket: Option<NewTicket>,
}

/// Something in a place, by the place's position in [`Company::places`].
#[derive(Debug, PartialEq)]
pub(super) struct At<T> {
    pub(super) place: usize,
    pub(super) what: T,
}

#[derive(Debug, PartialEq)]
pub(super) struct NewDevice {
    pub(super) manufacturer: usize,
    /// A meter's.
    pub(super) tariff: Option<usize>,
    pub(super) device: Device,
}

#[derive(Debug, PartialEq)]
pub(super) struct Payment {
    /// The position of the device that it pays; without one it becomes credit.
    pub(super) device: Option<usize>,
    pub(super) transaction: Transaction,
}

#[derive(Debug, PartialEq)]
pub(super) struct NewTicket {
    pub(super) category: usize,
    /// The position of the device that it is about.
    pub(super) device: Option<usize>,
    pub(super) ticket: Ticket,
}

impl Company<'_> {
    /// The person of this number, from 0: always the same one, however many there are.
    pub(super) fn resident(&self, number: u32) -> Option<Resident> {
        let random = &mut self.random(Thing::Draw, [u64::from(number), 0]);
        // Two in five are at home.
        let position = if random.percent(40) { 0 } else { random.below(self.countries.len() as u64) as usize };
        let country = *self.countries.get(position)?;
        let sites = self.sites(position);
        let place = *sites.get(random.below(sites.len() as u64) as usize)?;
        let person = person(country, random);
        let addresses = addresses(country, &person, number, place, random);
        let devices: Vec<_> = (0..how_many_devices(random))
            .filter_map(|nth| Some(At { place, what: self.device(u64::from(number) * MOST_OF_ONE + nth, random)? }))
            .collect();
        let phone = addresses.first().map(|address| address.what.phone.clone()).unwrap_or_default();
        let payments = (0..random.below(6))
            .filter_map(|nth| self.payment(u64::from(number) * MOST_OF_ONE + nth, &phone, devices.len() as u64, random))
            .collect();
        let ticket = random.percent(12).then(|| self.ticket(devices.len() as u64, random));
        Some(Resident { person, addresses, devices, payments, ticket })
    }

    /// The positions of the sites in a country.
    fn sites(&self, country: usize) -> Vec<usize> {
        let places = self.places.iter().enumerate();
        let in_country =
            places.filter(|(_, planned)| planned.country == country && planned.place.kind() == PlaceKind::Site);
        in_country.map(|(position, _)| position).collect()
    }

    fn device(&self, number: u64, random: &mut Random) -> Option<NewDevice> {
        let kind = match random.below(10) {
            0..6 => Kind::Meter,
            6..9 => Kind::SolarHomeSystem,
            _ => Kind::EBike,
        };
        let makers = self.makers_of(kind);
        let manufacturer = *makers.get(random.below(makers.len() as u64) as usize)?;
        let maker = self.data.manufacturers.nth(manufacturer);
        let (one, two) = *random.pick(&maker.models);
        let details = match kind {
            Kind::Meter => device::Details::Meter(Meter {
                connection_type: if one == 1 { "single phase" } else { "three phase" }.to_owned(),
                phases: Some(one),
                max_current_milliamps: Some(two * 1_000),
                in_use: random.percent(95),
                ..Default::default()
            }),
            Kind::SolarHomeSystem => device::Details::SolarHomeSystem(SolarHomeSystem {
                panel_watts: Some(one),
                battery_watt_hours: Some(two),
            }),
            Kind::EBike => device::Details::EBike(EBike {
                mileage_metres: i64::try_from(random.below(40_000_000)).ok(),
                battery_percent: i32::try_from(random.below(101)).ok(),
                locked: random.percent(50),
                ..Default::default()
            }),
        };
        // By the number alone, so that no maker gives one twice.
        let serial = format!("{}{number:09}", maker.serial_prefix);
        let tariff = (kind == Kind::Meter).then(|| random.below(self.data.tariffs.len() as u64) as usize);
        Some(NewDevice {
            manufacturer,
            tariff,
            device: Device { serial, details: Some(details), ..Default::default() },
        })
    }

    fn payment(&self, number: u64, sender: &str, devices: u64, random: &mut Random) -> Option<Payment> {
        let home = self.countries.first()?;
        let range = &home.money;
        let mut nanos = i128::from(range.least + random.below(range.most - range.least + 1)) * NANOS;
        if range.decimals > 0 && random.percent(30) {
            nanos += i128::from(random.below(10_u64.pow(range.decimals))) * NANOS / 10_i128.pow(range.decimals);
        }
        let transaction = Transaction {
            provider: random.pick(&home.providers).clone(),
            external_id: external_id(self.seed, self.number, number),
            amount: Some(money(&range.currency, nanos)),
            sender: sender.to_owned(),
            message: if random.percent(20) { "electricity".to_owned() } else { String::new() },
            ..Default::default()
        };
        Some(Payment { device: position(devices, random), transaction })
    }

    fn ticket(&self, devices: u64, random: &mut Random) -> NewTicket {
        let category = random.below(self.data.categories.len() as u64) as usize;
        let Category { tickets, .. } = self.data.categories.nth(category);
        let (title, description) = random.pick(tickets).clone();
        let status = match random.below(10) {
            0..3 => TicketStatus::Open,
            3..5 => TicketStatus::Waiting,
            _ => TicketStatus::Closed,
        };
        let ticket = Ticket { title, description, status: status.into(), ..Default::default() };
        NewTicket { category, device: position(devices, random), ticket }
    }
}

fn how_many_devices(random: &mut Random) -> u64 {
    match random.below(20) {
        0..3 => 0,
        3..17 => 1,
        _ => 2,
    }
}

/// One of so many, if there is one.
fn position(count: u64, random: &mut Random) -> Option<usize> {
    (count > 0).then(|| random.below(count) as usize)
}

fn person(country: &Country, random: &mut Random) -> Person {
    let (gender, names) = if random.percent(50) { ("female", &country.women) } else { ("male", &country.men) };
    let kind = match random.below(100) {
        0..90 => PersonKind::Customer,
        90..96 => PersonKind::Agent,
        _ => PersonKind::Staff,
    };
    // Grown up on any day that a run can be on.
    let date = |random: &mut Random, from: u64, count: u64| (from + random.below(count)) as i32;
    let birth_date = Date { year: date(random, 1940, 65), month: date(random, 1, 12), day: date(random, 1, 28) };
    let education = ["", "primary school", "secondary school", "vocational training", "university"];
    let segment = ["household", "household", "household", "shop", "workshop", "clinic", "school", "farm"];
    let pick = |random: &mut Random, of: &[&str]| of[random.below(of.len() as u64) as usize].to_owned();
    Person {
        kind: kind.into(),
        name: random.pick(names).clone(),
        surname: random.pick(&country.families).clone(),
        birth_date: random.percent(80).then_some(birth_date),
        gender: gender.to_owned(),
        education: pick(random, &education),
        nationality: country.nationality.clone(),
        labels: [("segment".to_owned(), pick(random, &segment))].into(),
        ..Default::default()
    }
}

fn addresses(country: &Country, person: &Person, number: u32, place: usize, random: &mut Random) -> Vec<At<Address>> {
    let house = (1 + random.below(250)).to_string();
    let street = random.pick(&country.streets).as_str();
    let street = country.address.replace("{street}", street).replace("{number}", &house);
    let email = if random.percent(60) { email(person, number) } else { String::new() };
    let home = Address { phone: phone(country, random), street, email, primary: true, ..Default::default() };
    let mut addresses = vec![At { place, what: home }];
    if random.percent(20) {
        addresses.push(At { place, what: Address { phone: phone(country, random), ..Default::default() } });
    }
    addresses
}

fn phone(country: &Country, random: &mut Random) -> String {
    let digit = |letter: char| if letter == '#' { char::from(b'0' + random.below(10) as u8) } else { letter };
    country.phone.chars().map(digit).collect()
}

/// In the person's own script (RFC 6531), at a domain where nobody gets mail (RFC 2606).
fn email(person: &Person, number: u32) -> String {
    let named = format!("{}.{}.{number}", person.name, person.surname).to_lowercase();
    let local: String = named.chars().map(|letter| if letter.is_whitespace() { '.' } else { letter }).collect();
    let local = if local.len() <= MAX_LOCAL_BYTES { local } else { format!("person.{number}") };
    format!("{local}@example.org")
}

/// Nine capitals and digits that look as providers' do: a bijection of the number, so that none comes twice.
fn external_id(seed: u64, company: u32, number: u64) -> String {
    let mask = (1 << EXTERNAL_ID_BITS) - 1;
    let salt = Random::of(seed, &[u64::from(company), Thing::Payment as u64]).below(1 << EXTERNAL_ID_BITS);
    // An odd factor and an exclusive or can both be taken back within the bits.
    let mut left = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask) ^ salt;
    let mut id = [b'0'; 9];
    for letter in id.iter_mut().rev() {
        *letter = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(left % 36) as usize];
        left /= 36;
    }
    id.iter().copied().map(char::from).collect()
}

#[cfg(test)]
#[path = "resident_tests.rs"]
mod tests;

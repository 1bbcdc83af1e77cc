//! Made-up companies: what each has before it has people.

use tenantry_api::crm::v1::{Manufacturer, Money, Place, PlaceKind, Tariff, TicketCategory};
use uuid::Uuid;

use super::data::{Country, Data, Kind, NANOS};
use super::random::Random;

/// In how many countries a company works.
const COUNTRIES: usize = 5;

/// One company of those that a seed makes. The company of a number is always the same, however many there are.
pub(super) struct Company<'d> {
    pub(super) data: &'d Data,
    pub(super) seed: u64,
    /// From 1.
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) owner_email: String,
    /// Where it works; the first is where it is at home, and whose money it takes.
    pub(super) countries: Vec<&'d Country>,
    pub(super) places: Vec<PlannedPlace>,
}

/// A place, which comes after the one that it is in.
pub(super) struct PlannedPlace {
    /// Its country's position in [`Company::countries`].
    pub(super) country: usize,
    /// The position in [`Company::places`] of the place that it is in.
    pub(super) parent: Option<usize>,
    pub(super) place: Place,
}

/// What a repeated call is known by. Append only: another order would be other ids, and other people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thing {
    Company,
    Place,
    Manufacturer,
    Tariff,
    Category,
    Person,
    Address,
    Device,
    Ticket,
    Payment,
    /// No thing: how a person is drawn.
    Draw,
}

impl<'d> Company<'d> {
    pub(super) fn new(data: &'d Data, seed: u64, number: u32) -> Self {
        let mut random = Random::of(seed, &[u64::from(number)]);
        let index = number.saturating_sub(1) as usize;
        // Rows of countries one after the other, so that any four companies in a row have all of them.
        let rows = data.countries.len().div_ceil(COUNTRIES);
        let row = (index + random_row(seed, rows)) % rows;
        let home = random.below(COUNTRIES as u64) as usize;
        let in_row = |nth: usize| data.countries.nth(row * COUNTRIES + (home + nth) % COUNTRIES);
        let countries: Vec<&Country> = (0..COUNTRIES).map(in_row).collect();
        let (first, second) = &data.names;
        let mut name = format!("{} {}", random.pick(first), random.pick(second));
        if let Some(home) = countries.first() {
            name = format!("{name} {}", random.pick(&home.cities).name);
        }
        let owner_email = format!("owner{number}.seed{seed}@demo.example.com");
        let places = places(&countries);
        Self { data, seed, number, name, owner_email, countries, places }
    }

    /// The numbers for one of its things.
    pub(super) fn random(&self, thing: Thing, path: [u64; 2]) -> Random {
        Random::of(self.seed, &[u64::from(self.number), thing as u64, path[0], path[1]])
    }

    /// The request id under which one of its things is made: the same in every run.
    pub(super) fn request_id(&self, thing: Thing, path: [u64; 2]) -> Uuid {
        self.random(thing, path).uuid()
    }

    pub(super) fn manufacturers(&self) -> impl Iterator<Item = Manufacturer> {
        self.data.manufacturers.iter().map(|maker| Manufacturer {
            name: maker.name.clone(),
            website: maker.website.clone(),
            ..Default::default()
        })
    }

    /// The positions of those who make such devices.
    pub(super) fn makers_of(&self, kind: Kind) -> Vec<usize> {
        let makers = self.data.manufacturers.iter().enumerate();
        makers.filter(|(_, maker)| maker.kind == kind).map(|(position, _)| position).collect()
    }

    pub(super) fn tariffs(&self) -> impl Iterator<Item = Tariff> {
        let home = self.countries.first();
        self.data.tariffs.iter().map(move |tariff| {
            let energy = home.map_or(0, |home| home.energy_nanos);
            let money = |nanos| home.map(|home| money(&home.money.currency, nanos));
            Tariff {
                name: tariff.name.clone(),
                price: money(energy * tariff.price_percent / 100),
                access_fee: money(energy * tariff.access_kilowatt_hours),
                ..Default::default()
            }
        })
    }

    pub(super) fn categories(&self) -> impl Iterator<Item = TicketCategory> {
        self.data.categories.iter().map(|category| TicketCategory {
            name: category.name.clone(),
            colour: category.colour.clone(),
            ..Default::default()
        })
    }
}

/// At which row the first company of a seed is.
fn random_row(seed: u64, rows: usize) -> usize {
    Random::of(seed, &[]).below(rows as u64) as usize
}

pub(super) fn money(currency: &str, nanos: i128) -> Money {
    // Both fit: no price and no payment comes near the end of either.
    let units = i64::try_from(nanos / NANOS).unwrap_or(i64::MAX);
    let nanos = i32::try_from(nanos % NANOS).unwrap_or(0);
    Money { currency_code: currency.to_owned(), units, nanos }
}

fn places(countries: &[&Country]) -> Vec<PlannedPlace> {
    let mut places = Vec::new();
    for (country, of) in countries.iter().enumerate() {
        let mut add = |parent, place| {
            places.push(PlannedPlace { country, parent, place });
            Some(places.len() - 1)
        };
        let named =
            |kind: PlaceKind, name: &str| Place { kind: kind.into(), name: name.to_owned(), ..Default::default() };
        let place = Place { country_code: of.code.clone(), ..named(PlaceKind::Country, &of.name) };
        let in_country = add(None, place);
        for city in of.cities.iter() {
            let position = (Some(city.latitude), Some(city.longitude));
            let place = named(PlaceKind::City, &city.name);
            let in_city = add(in_country, Place { latitude: position.0, longitude: position.1, ..place });
            for site in city.sites.iter() {
                add(in_city, named(PlaceKind::Site, site));
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn four_companies_in_a_row_work_everywhere() {
        let data = Data::load().expect("the data");
        for seed in [0, 1, 2, u64::MAX] {
            for first in [1, 2, 999] {
                let companies = (first..first + 4).map(|number| Company::new(&data, seed, number));
                let codes: HashSet<&str> =
                    companies.flat_map(|company| company.countries).map(|country| country.code.as_str()).collect();
                assert_eq!(codes.len(), data.countries.len(), "seed {seed}, from {first}");
            }
        }
    }

    #[test]
    fn places_come_after_what_they_are_in() {
        let data = Data::load().expect("the data");
        let company = Company::new(&data, 1, 1);
        assert_eq!(company.places.len(), COUNTRIES * (1 + 2 + 4));
        for (position, planned) in company.places.iter().enumerate() {
            let parent = planned.parent.map(|parent| {
                assert!(parent < position);
                company.places[parent].place.kind()
            });
            let wanted = match planned.place.kind() {
                PlaceKind::Site => Some(PlaceKind::City),
                PlaceKind::City => Some(PlaceKind::Country),
                _ => None,
            };
            assert_eq!(parent, wanted);
        }
    }

    #[test]
    fn prices_are_the_homes_and_exact() {
        let data = Data::load().expect("the data");
        for number in 1..=8 {
            let company = Company::new(&data, 7, number);
            let home = company.countries[0];
            let tariffs: Vec<Tariff> = company.tariffs().collect();
            let household = tariffs.iter().find(|tariff| tariff.name == "Household").expect("a tariff");
            assert_eq!(household.price, Some(money(&home.money.currency, home.energy_nanos)));
            assert_eq!(household.access_fee, Some(money(&home.money.currency, 2 * home.energy_nanos)));
        }
        assert_eq!(money("KES", 28_500_000_000), Money { currency_code: "KES".into(), units: 28, nanos: 500_000_000 });
    }
}

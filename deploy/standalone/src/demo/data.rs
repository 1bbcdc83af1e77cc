//! What made-up companies are made of: the files of `demo_data`, which are in the program.

use std::str::FromStr;

use super::data_file::{DataError, Fields, File, Several};

/// Billionths in a unit of money.
pub(super) const NANOS: i128 = 1_000_000_000;

/// Five in a row are a company's, so each row of five is of five scripts, and four companies have them all.
const COUNTRIES: [(&str, &str); 20] = [
    ("ke.txt", include_str!("../../demo_data/countries/ke.txt")),
    ("eg.txt", include_str!("../../demo_data/countries/eg.txt")),
    ("in.txt", include_str!("../../demo_data/countries/in.txt")),
    ("cn.txt", include_str!("../../demo_data/countries/cn.txt")),
    ("gr.txt", include_str!("../../demo_data/countries/gr.txt")),
    ("et.txt", include_str!("../../demo_data/countries/et.txt")),
    ("il.txt", include_str!("../../demo_data/countries/il.txt")),
    ("bd.txt", include_str!("../../demo_data/countries/bd.txt")),
    ("jp.txt", include_str!("../../demo_data/countries/jp.txt")),
    ("ua.txt", include_str!("../../demo_data/countries/ua.txt")),
    ("ng.txt", include_str!("../../demo_data/countries/ng.txt")),
    ("ge.txt", include_str!("../../demo_data/countries/ge.txt")),
    ("th.txt", include_str!("../../demo_data/countries/th.txt")),
    ("kr.txt", include_str!("../../demo_data/countries/kr.txt")),
    ("pe.txt", include_str!("../../demo_data/countries/pe.txt")),
    ("lk.txt", include_str!("../../demo_data/countries/lk.txt")),
    ("am.txt", include_str!("../../demo_data/countries/am.txt")),
    ("vn.txt", include_str!("../../demo_data/countries/vn.txt")),
    ("tr.txt", include_str!("../../demo_data/countries/tr.txt")),
    ("pl.txt", include_str!("../../demo_data/countries/pl.txt")),
];

/// All of it.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) countries: Several<Country>,
    pub(super) manufacturers: Several<Manufacturer>,
    pub(super) tariffs: Several<Tariff>,
    pub(super) categories: Several<Category>,
    /// The first and the second word of a company's name.
    pub(super) names: (Several<String>, Several<String>),
}

#[derive(Debug)]
pub(super) struct Country {
    /// ISO 3166-1 alpha-2.
    pub(super) code: String,
    pub(super) name: String,
    pub(super) nationality: String,
    /// A mobile telephone's, with # for digits.
    pub(super) phone: String,
    pub(super) money: Payments,
    /// What a kilowatt-hour costs, in billionths of a unit of its money.
    pub(super) energy_nanos: i128,
    pub(super) providers: Several<String>,
    /// How a street and a number in it are written.
    pub(super) address: String,
    pub(super) streets: Several<String>,
    pub(super) cities: Several<City>,
    pub(super) women: Several<String>,
    pub(super) men: Several<String>,
    pub(super) families: Several<String>,
}

/// How much people pay at once.
#[derive(Debug)]
pub(super) struct Payments {
    pub(super) currency: String,
    pub(super) least: u64,
    pub(super) most: u64,
    /// How many decimals the currency has.
    pub(super) decimals: u32,
}

#[derive(Debug)]
pub(super) struct City {
    pub(super) name: String,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) sites: Several<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Meter,
    SolarHomeSystem,
    EBike,
}

#[derive(Debug)]
pub(super) struct Manufacturer {
    pub(super) name: String,
    pub(super) website: String,
    pub(super) kind: Kind,
    pub(super) serial_prefix: String,
    /// Two figures of each model: phases and amperes, or watts and watt-hours.
    pub(super) models: Several<(i32, i32)>,
}

#[derive(Debug)]
pub(super) struct Tariff {
    pub(super) name: String,
    pub(super) price_percent: i128,
    pub(super) access_kilowatt_hours: i128,
}

#[derive(Debug)]
pub(super) struct Category {
    pub(super) name: String,
    pub(super) colour: String,
    /// Titles, with what is said.
    pub(super) tickets: Several<(String, String)>,
}

impl Data {
    /// Reads everything.
    pub(super) fn load() -> Result<Self, DataError> {
        let countries = COUNTRIES.map(|(file, text)| country(&File::new(file, text)));
        let countries = countries.into_iter().collect::<Result<Vec<_>, _>>()?;
        let manufacturers = File::new("manufacturers.txt", include_str!("../../demo_data/manufacturers.txt"));
        let tariffs = File::new("tariffs.txt", include_str!("../../demo_data/tariffs.txt"));
        let tickets = File::new("tickets.txt", include_str!("../../demo_data/tickets.txt"));
        let companies = File::new("companies.txt", include_str!("../../demo_data/companies.txt"));
        let words = companies.fields()?;
        Ok(Self {
            countries: companies.several("countries", countries)?,
            manufacturers: manufacturers.rows(manufacturer)?,
            tariffs: tariffs.rows(tariff)?,
            categories: categories(&tickets)?,
            names: (companies.list(&words, "first")?, companies.list(&words, "second")?),
        })
    }
}

fn country(file: &File) -> Result<Country, DataError> {
    let fields = file.fields()?;
    let one = |key| file.one(&fields, key).map(str::to_owned);
    let list = |key| file.list(&fields, key);
    let cities = file.all(&fields, "city").iter().map(|text| city(file, text)).collect::<Result<Vec<_>, _>>()?;
    Ok(Country {
        code: one("code")?,
        name: one("name")?,
        nationality: one("nationality")?,
        phone: one("phone")?,
        money: payments(file, &fields)?,
        energy_nanos: nanos(file, file.one(&fields, "energy")?)?,
        providers: list("providers")?,
        address: one("address")?,
        streets: list("streets")?,
        cities: file.several("city", cities)?,
        women: list("women")?,
        men: list("men")?,
        families: list("families")?,
    })
}

fn payments(file: &File, fields: &Fields) -> Result<Payments, DataError> {
    let text = file.one(fields, "money")?;
    let words: Vec<&str> = text.split(' ').collect();
    let [currency, least, most, decimals] = words.as_slice() else { return Err(file.wrong("money", text)) };
    let (least, most) = (file.number(least)?, file.number(most)?);
    if least == 0 || least > most {
        return Err(file.wrong("money", text));
    }
    Ok(Payments { currency: (*currency).to_owned(), least, most, decimals: file.number(decimals)? })
}

/// `Nairobi -1.2864 36.8172: Kibera, Kawangware`.
fn city(file: &File, text: &str) -> Result<City, DataError> {
    let wrong = || file.wrong("city", text);
    let (place, sites) = text.split_once(": ").ok_or_else(wrong)?;
    let (place, longitude) = place.rsplit_once(' ').ok_or_else(wrong)?;
    let (name, latitude) = place.rsplit_once(' ').ok_or_else(wrong)?;
    Ok(City {
        name: name.to_owned(),
        latitude: file.number(latitude)?,
        longitude: file.number(longitude)?,
        sites: file.several("city", sites.split(", ").map(str::to_owned).collect())?,
    })
}

/// A decimal number in billionths.
fn nanos(file: &File, text: &str) -> Result<i128, DataError> {
    let (units, decimals) = text.split_once('.').unwrap_or((text, ""));
    let decimals: i128 = file.number(&format!("{decimals:0<9}"))?;
    Ok(file.number::<i128>(units)? * NANOS + decimals)
}

fn manufacturer(file: &File, cells: &[&str]) -> Result<Manufacturer, DataError> {
    let [name, website, kind, prefix, models] = cells else { return Err(file.wrong("row", &cells.join(" | "))) };
    let kind = match *kind {
        "meter" => Kind::Meter,
        "solar_home_system" => Kind::SolarHomeSystem,
        "e_bike" => Kind::EBike,
        other => return Err(file.wrong("kind", other)),
    };
    let model = |text: &str| {
        let (one, two) = text.split_once(' ').ok_or_else(|| file.wrong("model", text))?;
        Ok((file.number(one)?, file.number(two)?))
    };
    let models = models.split(", ").map(model).collect::<Result<Vec<_>, _>>()?;
    Ok(Manufacturer {
        name: (*name).to_owned(),
        website: (*website).to_owned(),
        kind,
        serial_prefix: (*prefix).to_owned(),
        models: file.several("models", models)?,
    })
}

fn tariff(file: &File, cells: &[&str]) -> Result<Tariff, DataError> {
    let [name, price, access] = cells else { return Err(file.wrong("row", &cells.join(" | "))) };
    let name = (*name).to_owned();
    Ok(Tariff { name, price_percent: file.number(price)?, access_kilowatt_hours: file.number(access)? })
}

/// A line `category NAME #COLOUR` begins one; those after it are its tickets.
fn categories(file: &File) -> Result<Several<Category>, DataError> {
    struct Begun {
        name: String,
        colour: String,
        tickets: Vec<(String, String)>,
    }
    let mut begun: Vec<Begun> = Vec::new();
    for line in file.lines() {
        if let Some(heading) = line.strip_prefix("category ") {
            let (name, colour) = heading.rsplit_once(' ').ok_or_else(|| file.wrong("category", line))?;
            begun.push(Begun { name: name.to_owned(), colour: colour.to_owned(), tickets: Vec::new() });
            continue;
        }
        let (title, said) = line.split_once(" | ").ok_or_else(|| file.wrong("ticket", line))?;
        let category = begun.last_mut().ok_or_else(|| file.wrong("ticket", line))?;
        category.tickets.push((title.to_owned(), said.to_owned()));
    }
    let whole =
        |Begun { name, colour, tickets }| Ok(Category { name, colour, tickets: file.several("tickets", tickets)? });
    file.several("categories", begun.into_iter().map(whole).collect::<Result<_, _>>()?)
}

impl File {
    fn number<N: FromStr>(&self, text: &str) -> Result<N, DataError> {
        text.parse().map_err(|_| self.wrong("number", text))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_file_can_be_read_and_says_what_fits() {
        let data = Data::load().expect("the data");
        let codes: HashSet<&str> = data.countries.iter().map(|country| country.code.as_str()).collect();
        assert_eq!(codes.len(), COUNTRIES.len());
        for country in data.countries.iter() {
            assert!(country.code.len() == 2 && country.code.bytes().all(|letter| letter.is_ascii_uppercase()));
            let digits = country.phone.strip_prefix('+').unwrap_or_default();
            assert!((7..=15).contains(&digits.len()) && !digits.starts_with('0'), "{}", country.phone);
            assert!(digits.bytes().all(|digit| digit == b'#' || digit.is_ascii_digit()), "{}", country.phone);
            assert!(country.address.contains("{street}") && country.address.contains("{number}"));
            assert!(country.money.currency.len() == 3 && country.energy_nanos > 0 && country.money.decimals <= 4);
            for city in country.cities.iter() {
                assert!(city.latitude.abs() <= 90.0 && city.longitude.abs() <= 180.0, "{}", city.name);
            }
            for names in [&country.women, &country.men, &country.families, &country.streets] {
                assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "twice in {}", country.code);
                assert!(names.iter().all(|name| name.trim() == name && !name.is_empty()), "{}", country.code);
            }
        }
        let prefixes: HashSet<_> = data.manufacturers.iter().map(|maker| maker.name.as_str()).collect();
        assert_eq!(prefixes.len(), data.manufacturers.len());
    }

    #[test]
    fn amounts_are_exact() {
        let file = File::new("x", "");
        assert_eq!(nanos(&file, "28.50").expect("an amount"), 28_500_000_000);
        assert_eq!(nanos(&file, "2103").expect("an amount"), 2_103_000_000_000);
        assert!(nanos(&file, "1.x").is_err() && nanos(&file, "").is_err());
    }
}

use sea_orm::entity::prelude::*;
use serde::Serialize;
use tenantry_ids::PlaceId;

use super::content::{Content, Stored, Thing, writable};

/// How large a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
#[serde(rename_all = "snake_case")]
pub(crate) enum PlaceKind {
    #[sea_orm(string_value = "country")]
    Country,
    #[sea_orm(string_value = "city")]
    City,
    #[sea_orm(string_value = "site")]
    Site,
}

impl PlaceKind {
    /// The kind of place that one of this kind is in.
    pub(crate) fn parent(self) -> Option<PlaceKind> {
        match self {
            Self::Country => None,
            Self::City => Some(Self::Country),
            Self::Site => Some(Self::City),
        }
    }

    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Country => "country",
            Self::City => "city",
            Self::Site => "site",
        }
    }
}

writable! {
    /// A country, a city or a site.
    Place [kind: PlaceKind] {
        parent_id: Option<PlaceId>,
        name: String,
        /// ISO 3166-1 alpha-2; of countries only.
        country_code: Option<String>,
        /// Degrees, both or neither.
        latitude: Option<f64>,
        longitude: Option<f64>,
    }
}

impl Content for Place {
    type Id = PlaceId;
    const THING: Thing = Thing::Place;
}

impl Place {
    /// Which field does not fit the others, and what it must be. `parent` is the place that `parent_id` names.
    pub(crate) fn misfit(&self, parent: Option<&Stored<Place>>) -> Option<(&'static str, String)> {
        let wanted = self.kind.parent();
        if wanted != parent.map(|parent| parent.content.kind) {
            let description = match wanted {
                Some(kind) => format!("must be the id of a {}", kind.noun()),
                None => "must be empty for a country".to_owned(),
            };
            return Some(("place.parent_id", description));
        }
        match (self.kind, self.country_code.is_some()) {
            (PlaceKind::Country, false) => Some(("place.country_code", "must not be empty for a country".to_owned())),
            (PlaceKind::City | PlaceKind::Site, true) => {
                Some(("place.country_code", "must be empty for all but countries".to_owned()))
            }
            _ if self.latitude.is_some() != self.longitude.is_some() => {
                Some(("place.longitude", "must be set with latitude, or neither".to_owned()))
            }
            _ => None,
        }
    }
}

/// Two capital letters.
pub(crate) fn country_code(text: &str) -> Result<String, &'static str> {
    let fits = text.len() == 2 && text.bytes().all(|letter| letter.is_ascii_uppercase());
    if fits { Ok(text.to_owned()) } else { Err("must be two capital letters, such as DE") }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;

    fn place(kind: PlaceKind) -> Place {
        let country_code = (kind == PlaceKind::Country).then(|| "DE".to_owned());
        Place { kind, parent_id: None, name: "x".into(), country_code, latitude: None, longitude: None }
    }

    fn stored(kind: PlaceKind) -> Stored<Place> {
        Stored::new(Uuid::nil(), place(kind), DateTime::UNIX_EPOCH)
    }

    #[test]
    fn each_kind_is_in_the_next_larger_one() {
        use PlaceKind::{City, Country, Site};
        let fits = |kind, parent: Option<PlaceKind>| place(kind).misfit(parent.map(stored).as_ref()).is_none();
        assert!(fits(Country, None) && fits(City, Some(Country)) && fits(Site, Some(City)));
        for kind in [Country, City, Site] {
            assert!(!fits(Country, Some(kind)) && !fits(kind, Some(Site)));
        }
        assert!(!fits(City, None) && !fits(Site, None) && !fits(Site, Some(Country)) && !fits(City, Some(City)));
    }

    #[test]
    fn a_code_is_a_countrys_and_a_position_is_whole() {
        let none = Place { country_code: None, ..place(PlaceKind::Country) };
        assert_eq!(none.misfit(None).map(|(field, _)| field), Some("place.country_code"));
        let half = Place { latitude: Some(1.0), ..place(PlaceKind::Country) };
        assert_eq!(half.misfit(None).map(|(field, _)| field), Some("place.longitude"));
        assert!(country_code("DE").is_ok());
        assert!(["", "D", "de", "DEU", "Ä", "D1"].iter().all(|text| country_code(text).is_err()));
    }
}

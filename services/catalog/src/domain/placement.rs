//! Where a new company's database goes.

use std::cmp::Reverse;

use sea_orm::entity::prelude::*;

/// Whether new companies go to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
pub(crate) enum ServerState {
    #[sea_orm(string_value = "open")]
    Open,
    #[sea_orm(string_value = "draining")]
    Draining,
    #[sea_orm(string_value = "closed")]
    Closed,
}

/// A server as far as placement goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) region: Option<String>,
    pub(crate) state: ServerState,
    /// 0: as many as come.
    pub(crate) max_databases: i32,
    pub(crate) databases: i64,
}

/// Why a company has no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unplaced {
    /// No server is open.
    NoneOpen,
    /// There is none of the name asked for.
    Unknown,
    /// The one asked for is not open.
    NotOpen(ServerState),
    /// None that is open is in the region, or the one asked for is not.
    NotInRegion,
    /// Everyone that would do is full.
    Full,
}

impl Place {
    /// How many more databases it takes.
    fn room(&self) -> i64 {
        if self.max_databases == 0 {
            return i64::MAX;
        }
        (i64::from(self.max_databases) - self.databases).max(0)
    }

    pub(crate) fn takes_one_more(&self) -> bool {
        self.state == ServerState::Open && self.room() > 0
    }
}

/// The servers that take a new company, the one with most room first: of the name asked for, and of the region asked
/// for.
pub(crate) fn places(all: Vec<Place>, asked: Option<&str>, region: Option<&str>) -> Result<Vec<Place>, Unplaced> {
    let mut all = all;
    match asked {
        Some(asked) => {
            all.retain(|place| place.name == asked);
            let place = all.first().ok_or(Unplaced::Unknown)?;
            if place.state != ServerState::Open {
                return Err(Unplaced::NotOpen(place.state));
            }
        }
        None => {
            all.retain(|place| place.state == ServerState::Open);
            if all.is_empty() {
                return Err(Unplaced::NoneOpen);
            }
        }
    }
    all.retain(|place| region.is_none() || place.region.as_deref() == region);
    if all.is_empty() {
        return Err(Unplaced::NotInRegion);
    }
    all.retain(Place::takes_one_more);
    if all.is_empty() {
        return Err(Unplaced::Full);
    }
    all.sort_by(|a, b| (Reverse(a.room()), a.databases, &a.name).cmp(&(Reverse(b.room()), b.databases, &b.name)));
    Ok(all)
}

impl ServerState {
    /// As the contract writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            ServerState::Open => "OPEN",
            ServerState::Draining => "DRAINING",
            ServerState::Closed => "CLOSED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str, region: &str, (max_databases, databases): (i32, i64)) -> Place {
        let region = (!region.is_empty()).then(|| region.to_owned());
        Place { name: name.to_owned(), region, state: ServerState::Open, max_databases, databases }
    }

    fn names(all: &[Place], asked: Option<&str>, region: Option<&str>) -> Result<Vec<String>, Unplaced> {
        places(all.to_vec(), asked, region).map(|places| places.into_iter().map(|place| place.name).collect())
    }

    #[test]
    fn most_room_comes_first_and_full_ones_not_at_all() {
        let all =
            [place("a", "", (10, 9)), place("b", "", (5, 2)), place("full", "", (3, 3)), place("over", "", (1, 2))];
        assert_eq!(names(&all, None, None).expect("places"), ["b", "a"]);
        // Without a limit: the one with fewest.
        let unlimited = [place("x", "", (0, 7)), place("y", "", (0, 6)), place("b", "", (1_000_000, 0))];
        assert_eq!(names(&unlimited, None, None).expect("places"), ["y", "x", "b"]);
        assert_eq!(names(&all[2..], None, None), Err(Unplaced::Full));
        assert_eq!(names(&all, Some("full"), None), Err(Unplaced::Full));
        assert_eq!(names(&all, Some("a"), None).expect("places"), ["a"]);
    }

    #[test]
    fn each_reason_is_its_own() {
        let shut = |state| Place { state, ..place("shut", "eu", (0, 0)) };
        let all = [place("us", "us", (0, 0)), shut(ServerState::Draining)];
        assert_eq!(names(&[], None, None), Err(Unplaced::NoneOpen));
        assert_eq!(names(&all[1..], None, None), Err(Unplaced::NoneOpen));
        assert_eq!(names(&all, Some("nobody"), None), Err(Unplaced::Unknown));
        assert_eq!(names(&all, Some("shut"), None), Err(Unplaced::NotOpen(ServerState::Draining)));
        assert_eq!(names(&all, None, Some("eu")), Err(Unplaced::NotInRegion));
        assert_eq!(names(&all, Some("us"), Some("eu")), Err(Unplaced::NotInRegion));
        assert_eq!(names(&all, None, Some("us")).expect("places"), ["us"]);
        assert_eq!(names(&[place("none", "", (0, 0))], None, Some("us")), Err(Unplaced::NotInRegion));
    }
}

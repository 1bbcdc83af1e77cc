//! Where a new company's database goes, counted so that no server gets more than it takes.

use tenantry_rpc::{Error, Reason};

use super::App;
use crate::domain::{Place, Unplaced, places};
use crate::store::entities::database_server::Model;
use crate::store::{CentralTx, StoreError, servers};

/// The servers that take a company just now, the best first.
pub(super) async fn candidates(app: &App, asked: Option<&str>, region: Option<&str>) -> Result<Vec<Place>, Error> {
    let mut loads = servers::loads(&app.db).await?;
    let all = servers::all(&app.db).await?.into_iter();
    let all = all.map(|server| {
        let databases = loads.remove(&server.name).unwrap_or_default();
        place(server, databases)
    });
    places(all.collect(), asked, region).map_err(|unplaced| refusal(&unplaced, asked, region))
}

/// Whether the transaction gets its place there. It holds the server's lock from here on, where the server has a limit:
/// without one nobody has to be counted, and nobody to wait.
pub(super) async fn take(tx: &CentralTx, place: &Place) -> Result<bool, StoreError> {
    if place.max_databases == 0 {
        return Ok(true);
    }
    let locked = servers::lock_and_count(tx, &place.name).await?;
    Ok(locked.is_some_and(|(server, databases)| self::place(server, databases).takes_one_more()))
}

/// What to say when somebody else has taken the last place meanwhile.
pub(super) fn full(asked: Option<&str>, region: Option<&str>) -> Error {
    refusal(&Unplaced::Full, asked, region)
}

fn place(server: Model, databases: i64) -> Place {
    let Model { name, region, state, max_databases, .. } = server;
    Place { name, region, state, max_databases, databases }
}

fn refusal(unplaced: &Unplaced, asked: Option<&str>, region: Option<&str>) -> Error {
    let (named, within) = (asked.unwrap_or_default(), region.unwrap_or_default());
    let error = match unplaced {
        Unplaced::NoneOpen => Error::new(
            Reason::NoDatabaseServer,
            "no open database server for the company; an operator has to register or open one",
        ),
        Unplaced::Unknown => Error::new(
            Reason::DatabaseServerNotFound,
            "there is no database server of this name; register it, or ask for another",
        ),
        Unplaced::NotOpen(state) => {
            let state = state.as_str();
            let message = format!("the database server is {state}; open it, or ask for another, or for none");
            Error::new(Reason::ServerNotOpen, message).with("state", state)
        }
        Unplaced::NotInRegion if asked.is_some() => {
            let message =
                "the database server is in another region; ask for one of the region, or leave one of both empty";
            Error::new(Reason::NoServerInRegion, message)
        }
        Unplaced::NotInRegion => Error::new(
            Reason::NoServerInRegion,
            "no open database server is in this region; register or open one there, or ask for another region",
        ),
        Unplaced::Full if asked.is_some() => Error::new(
            Reason::ServerAtCapacity,
            "the database server has as many databases as it takes; raise its max_databases, or ask for another server",
        ),
        Unplaced::Full => Error::new(
            Reason::ServerAtCapacity,
            "every open database server has as many databases as it takes; an operator has to register one, or raise \
             max_databases",
        ),
    };
    let facts = [("server", named), ("region", within)].into_iter().filter(|(_, fact)| !fact.is_empty());
    facts.fold(error, |error, (key, fact)| error.with(key, fact))
}

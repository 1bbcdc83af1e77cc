//! What is known, read in an order in which nothing that is under way looks like a mess.
//!
//! A row is written before what it is about is made, and goes after that is gone. So the servers are listed, then the
//! rows are read, then the servers are listed again, then the rows are read again: whatever was on the server both times
//! and had no row in between has none, and whatever had a row both times and was not on the server in between is gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tenantry_api::catalog::v1::Tenant;
use tenantry_ids::{CompanyId, DatabaseId};
use tenantry_rpc::Error;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::names::Name;
use crate::app::{App, fleet};
use crate::ident::Ident;
use crate::servers::{DatabaseServer, Inventory, ServerError};
use crate::store::claims::{self, Claim};
use crate::store::rollouts::{self, Target};
use crate::store::spares::{self, Spare};

/// A server that takes longer to list is as good as away.
const LIST_LIMIT: Duration = Duration::from_secs(8);
/// Leases of rollouts that are looked at.
const MOST_LEASES: u64 = 1_000;

/// The companies by id; `None` while the catalog is away.
pub(super) type Fleet = Option<HashMap<CompanyId, Tenant>>;

/// Everything that is known.
pub(super) struct Facts {
    pub(super) now: DateTime<Utc>,
    /// What has been so since before then is at a standstill.
    pub(super) standstill: DateTime<Utc>,
    /// Those that were to be looked at.
    pub(super) servers: BTreeMap<String, Result<Seen, String>>,
    pub(super) fleet: Fleet,
    pub(super) rows: Rows,
    pub(super) rows_before: Rows,
    pub(super) leases: Vec<Target>,
}

/// What a server has.
pub(super) struct Seen {
    pub(super) has_roles: bool,
    pub(super) before: Inventory,
    pub(super) after: Inventory,
    /// Scratch databases and templates that nobody works on.
    pub(super) unheld: BTreeSet<String>,
}

impl Seen {
    pub(super) fn has_database(&self, name: &str) -> bool {
        self.before.databases.contains_key(name) && self.after.databases.contains_key(name)
    }
}

/// The migrator's own records.
pub(super) struct Rows {
    pub(super) spares: HashMap<DatabaseId, Spare>,
    pub(super) claims: HashMap<DatabaseId, Claim>,
}

impl Rows {
    /// Spares first: one becomes a claim, never the other way round.
    async fn read(app: &App) -> Result<Self, Error> {
        let spares = spares::all(&app.db).await?.into_iter().map(|spare| (spare.id, spare)).collect();
        let claims = claims::all(&app.db).await?.into_iter().map(|claim| (claim.database_id, claim)).collect();
        Ok(Self { spares, claims })
    }
}

impl Facts {
    pub(super) async fn gather(app: &Arc<App>, servers: &[String], min_age: Duration) -> Result<Self, Error> {
        // Companies are there before their databases, and until after.
        let fleet = match fleet::all(&app.catalog).await {
            Ok(tenants) => Some(by_id(tenants)),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the catalog cannot be asked");
                None
            }
        };
        let before = list_all(app, servers).await;
        let rows_before = Rows::read(app).await?;
        let unheld = ask_all(app, before.iter().filter_map(|(name, seen)| Some((name, seen.as_ref().ok()?)))).await;
        let answered: Vec<_> = before.iter().filter(|(_, seen)| seen.is_ok()).map(|(name, _)| name.clone()).collect();
        let mut after = list_all(app, &answered).await;
        let rows = Rows::read(app).await?;
        let now = app.now();
        let standstill = now - min_age;
        let leases = rollouts::abandoned(app.db.raw(), standstill, MOST_LEASES).await?;

        let mut seen = BTreeMap::new();
        for (name, before) in before {
            let unheld = unheld.get(&name).cloned().unwrap_or_default();
            let has_roles = app.servers.named(&name)?.has_roles();
            let pair = match (before, after.remove(&name)) {
                (Ok(before), Some(Ok(after))) => Ok(Seen { has_roles, before, after, unheld }),
                (Err(error), _) | (Ok(_), Some(Err(error))) => Err(error),
                (Ok(_), None) => Err("it was not asked".to_owned()),
            };
            seen.insert(name, pair);
        }
        Ok(Self { now, standstill, servers: seen, fleet, rows, rows_before, leases })
    }

    /// Looks again, with what the catalog says by now of companies that seem to be in a mess: the latter half of the
    /// first look is the first half of this one.
    pub(super) async fn look_again(&mut self, app: &Arc<App>, companies: &[CompanyId]) -> Result<(), Error> {
        if let Some(fleet) = &mut self.fleet {
            match fleet::of_companies(&app.catalog, companies).await {
                Ok(tenants) => {
                    for company in companies {
                        fleet.remove(company);
                    }
                    fleet.extend(by_id(tenants));
                }
                Err(_) => self.fleet = None,
            }
        }
        let answered = self.servers.iter().filter(|(_, seen)| seen.is_ok()).map(|(name, _)| name.clone());
        for (name, listed) in list_all(app, &answered.collect::<Vec<_>>()).await {
            match (listed, self.servers.get_mut(&name)) {
                (Ok(after), Some(Ok(seen))) => seen.before = std::mem::replace(&mut seen.after, after),
                (Err(error), Some(seen)) => *seen = Err(error),
                (Ok(_), Some(Err(_)) | None) | (Err(_), None) => {}
            }
        }
        let rows = Rows::read(app).await?;
        self.rows_before = std::mem::replace(&mut self.rows, rows);
        Ok(())
    }
}

fn by_id(tenants: Vec<Tenant>) -> HashMap<CompanyId, Tenant> {
    tenants.into_iter().filter_map(|tenant| Some((tenant.company_id.parse().ok()?, tenant))).collect()
}

/// Each by itself: one that does not answer keeps no other waiting.
async fn list_all(app: &Arc<App>, servers: &[String]) -> BTreeMap<String, Result<Inventory, String>> {
    let mut listing = JoinSet::new();
    for name in servers {
        let (app, name) = (app.clone(), name.clone());
        listing.spawn(async move {
            let listed = async { Ok::<_, Error>(app.servers.named(&name)?.inventory(&app.prefix).await?) };
            let listed = timeout(LIST_LIMIT, listed).await.map_err(|elapsed| elapsed.to_string());
            (name, listed.and_then(|listed| listed.map_err(|error| why(&error))))
        });
    }
    let mut listed: BTreeMap<_, _> = BTreeMap::new();
    while let Some(done) = listing.join_next().await {
        listed.extend(done.ok());
    }
    // One whose listing broke off says nothing either.
    for name in servers {
        listed.entry(name.clone()).or_insert_with(|| Err("listing it broke off".to_owned()));
    }
    listed
}

/// What an operator has to know, with the cause that never crosses the wire logged.
fn why(error: &Error) -> String {
    tracing::warn!(error = error as &dyn std::error::Error, "a database server cannot be listed");
    format!("{}: {error}", error.reason())
}

async fn ask_all<'a>(
    app: &App,
    servers: impl Iterator<Item = (&'a String, &'a Inventory)>,
) -> HashMap<String, BTreeSet<String>> {
    let mut unheld = HashMap::new();
    for (name, inventory) in servers {
        let Ok(server) = app.servers.named(name) else { continue };
        // Of one that cannot be asked, nothing is taken to be left behind.
        if let Ok(Ok(free)) = timeout(LIST_LIMIT, of_nobody(app, server, inventory)).await {
            unheld.insert(name.clone(), free);
        }
    }
    unheld
}

async fn of_nobody(app: &App, server: &DatabaseServer, inventory: &Inventory) -> Result<BTreeSet<String>, ServerError> {
    let unfinished = inventory.databases.iter().filter(|(_, found)| !found.is_template).map(|(name, _)| name);
    let names: BTreeSet<_> = unfinished
        .chain(inventory.roles.keys())
        .filter(|name| matches!(Name::read(&app.prefix, name), Name::Scratch | Name::Template))
        .collect();
    let names: Vec<_> = names.into_iter().map(Ident::new).collect::<Result<_, _>>()?;
    server.unheld(&names).await
}

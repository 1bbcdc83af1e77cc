//! What is counted in the central database, so often as metrics are sent, however often they are read.

use std::sync::{Arc, Mutex, PoisonError};

use tenantry_rpc::Shutdown;
use tenantry_telemetry::metrics::{AsyncInstrument, KeyValue, counts_every, meter};

use super::App;
use crate::domain::State;
use crate::store::entities::database_server;
use crate::store::{StoreError, figures as store, servers};

/// Versions of the schema that are told apart. A fleet is at two or three; one that is at more has them as [`OTHER`].
const MAX_VERSIONS: usize = 20;
const OTHER: &str = "other";

/// What there was when it was last counted.
#[derive(Default)]
struct Counted {
    companies: Vec<(State, i64)>,
    versions: Vec<(String, i64)>,
    servers: Vec<Load>,
}

/// A database server's.
struct Load {
    server: String,
    databases: i64,
    /// 0: as many as come.
    most: i64,
}

/// Counts until the shutdown begins, where anybody looks.
pub(crate) async fn run(app: Arc<App>, shutdown: Shutdown) {
    let Some(every) = counts_every() else { return };
    let counted = Arc::default();
    observe(&counted);
    loop {
        match count(&app).await {
            Ok(now) => *counted.lock().unwrap_or_else(PoisonError::into_inner) = now,
            Err(error) => tracing::debug!(%error, "nothing was counted; what was counted last stays"),
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = shutdown.begun() => return,
        }
    }
}

async fn count(app: &App) -> Result<Counted, StoreError> {
    let companies = store::companies(&app.db).await?;
    let versions = most_common(store::versions(&app.db).await?);
    let loads = servers::loads(&app.db).await?;
    let load = |server: database_server::Model| Load {
        databases: loads.get(&server.name).copied().unwrap_or(0),
        most: server.max_databases.into(),
        server: server.name,
    };
    let servers = servers::all(&app.db).await?.into_iter().map(load).collect();
    Ok(Counted { companies, versions, servers })
}

/// The versions with the most databases, and what is left as one.
fn most_common(mut versions: Vec<(String, i64)>) -> Vec<(String, i64)> {
    versions.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let rest: i64 = versions.iter().skip(MAX_VERSIONS).map(|(_, count)| count).sum();
    versions.truncate(MAX_VERSIONS);
    if rest > 0 {
        versions.push((OTHER.to_owned(), rest));
    }
    versions
}

/// A figure of what was counted: its name, unit, meaning and attribute, and how it is read.
type Figure = (&'static str, &'static str, &'static str, &'static str, fn(&Counted) -> Vec<(&str, i64)>);

const FIGURES: [Figure; 4] = [
    ("tenantry.companies", "{company}", "Companies", "tenantry.company.state", |counted| {
        counted.companies.iter().map(|(state, count)| (state.as_str(), *count)).collect()
    }),
    ("tenantry.schema.databases", "{database}", "Companies' databases", "tenantry.schema.version", |counted| {
        counted.versions.iter().map(|(version, count)| (version.as_str(), *count)).collect()
    }),
    ("tenantry.server.databases", "{database}", "Companies' databases", "tenantry.server", |counted| {
        counted.servers.iter().map(|load| (load.server.as_str(), load.databases)).collect()
    }),
    (
        "tenantry.server.max_databases",
        "{database}",
        "Databases that a server takes; 0: all",
        "tenantry.server",
        |counted| counted.servers.iter().map(|load| (load.server.as_str(), load.most)).collect(),
    ),
];

fn observe(counted: &Arc<Mutex<Counted>>) {
    for (name, unit, about, attribute, read) in FIGURES {
        let counted = Arc::downgrade(counted);
        let tell = move |observer: &dyn AsyncInstrument<i64>| {
            let Some(counted) = counted.upgrade() else { return };
            for (value, count) in read(&counted.lock().unwrap_or_else(PoisonError::into_inner)) {
                observer.observe(count, &[KeyValue::new(attribute, value.to_owned())]);
            }
        };
        meter().i64_observable_gauge(name).with_unit(unit).with_description(about).with_callback(tell).build();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_versions_are_told_apart_and_the_rest_is_one() {
        let version = |number: usize| (format!("m{number:03}"), i64::try_from(number).expect("small"));
        assert_eq!(most_common(vec![version(1), version(3)]), [version(3), version(1)]);
        assert_eq!(most_common(Vec::new()), []);

        let all: Vec<_> = (1..=MAX_VERSIONS + 3).map(version).collect();
        let told = most_common(all);
        assert_eq!(told.len(), MAX_VERSIONS + 1);
        assert_eq!((told.first(), told.last()), (Some(&version(23)), Some(&(OTHER.to_owned(), 1 + 2 + 3))));
    }
}

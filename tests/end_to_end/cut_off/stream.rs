//! The stream itself: complete, in order, resumed, and told when it cannot be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, TransactionTrait};
use tenantry_api::catalog::v1::watch_tenants_response::Event;
use tenantry_api::catalog::v1::{CompanyState, TenantChange, WatchTenantsRequest, WatchTenantsResponse};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Bearer, Owner};
use tenantry_testkit::sandbox::{Clients, Sandbox};
use tokio::task::JoinSet;
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::BOUND;
use crate::lifecycle::Operations;
use crate::support::{per_engine, reason};

per_engine!(
    a_stream_goes_on_where_it_was_and_says_when_it_cannot,
    a_hundred_hear_a_burst_about_ten_thousand_in_order,
    nothing_is_lost_between_transactions_at_once,
);

/// One stream, with its last cursor.
pub(super) struct Watch {
    stream: Streaming<WatchTenantsResponse>,
    pub(super) cursor: String,
}

impl Watch {
    /// Begins one, as the crm; the first message is the start.
    pub(super) async fn begin(at: Clients, crm: &Bearer, cursor: &str) -> Result<Self, Status> {
        let request = crm.request(WatchTenantsRequest { cursor: cursor.into() });
        Self::of(at.directory().expect("a client").watch_tenants(request).await?.into_inner()).await
    }

    /// One that was just opened.
    pub(super) async fn of(stream: Streaming<WatchTenantsResponse>) -> Result<Self, Status> {
        let mut watch = Self { stream, cursor: String::new() };
        let first = watch.next().await?;
        assert!(matches!(first, Event::Start(_)), "{first:?}");
        Ok(watch)
    }

    /// What comes next, heartbeats and all.
    pub(super) async fn next(&mut self) -> Result<Event, Status> {
        let message = tokio::time::timeout(BOUND, self.stream.message()).await.expect("nothing comes")?;
        let message = message.ok_or_else(|| Status::unknown("the stream has ended"))?;
        self.cursor = message.cursor;
        Ok(message.event.expect("an event"))
    }

    /// The next that says something.
    pub(super) async fn news(&mut self) -> Result<Event, Status> {
        let news = async {
            loop {
                match self.next().await? {
                    Event::Heartbeat(_) => {}
                    news => return Ok(news),
                }
            }
        };
        tokio::time::timeout(BOUND, news).await.expect("nothing but heartbeats comes")
    }

    /// The first change that finds a tenant in this state. Those before it are of what was under way when the stream
    /// began, or are told twice.
    async fn tenant_in(&mut self, state: CompanyState) -> Result<TenantChange, Status> {
        loop {
            match self.news().await? {
                Event::Tenant(change) if change.state() == state => return Ok(change),
                Event::Tenant(_) => {}
                other => panic!("no change: {other:?}"),
            }
        }
    }

    /// Listens until it can be gone on from.
    async fn settle(&mut self) -> Result<String, Status> {
        while self.cursor.is_empty() {
            self.next().await?;
        }
        Ok(self.cursor.clone())
    }
}

async fn watch(sandbox: &Sandbox, cursor: &str) -> anyhow::Result<Watch> {
    let crm = Bearer(sandbox.service_token("crm", "catalog")?);
    Ok(Watch::begin(sandbox.clients(), &crm, cursor).await?)
}

async fn a_stream_goes_on_where_it_was_and_says_when_it_cannot(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let id = Owner::of_new_company(sandbox, "Watched").await?.company.id;
    let mut first = watch(sandbox, "").await?;
    first.settle().await?;
    operations.enter_maintenance(&id, 9).await?;
    let change = first.tenant_in(CompanyState::Maintenance).await?;
    assert_eq!(change.company_id, id);
    assert_eq!((change.access_epoch, change.placement_generation, change.maintenance_retry_seconds), (1, 1, 9));
    assert!(!change.schema_version.is_empty());
    let cursor = first.cursor.clone();
    drop(first);

    // What happened while nobody listened.
    operations.leave_maintenance(&id).await?;
    operations.suspend(&id).await?;
    let mut second = watch(sandbox, &cursor).await?;
    assert_eq!(second.tenant_in(CompanyState::Suspended).await?.access_epoch, 2);
    second.settle().await?;

    // Rows that are gone cannot be told, and the revocations in force come in their place.
    sandbox.run_in_central(&revocation(sandbox, "user:x")).await?;
    // After what is told twice, as it may be.
    while !matches!(second.news().await?, Event::Revocation(_)) {}
    sandbox.run_in_central("DELETE FROM tenant_changes WHERE subject IS NULL").await?;
    for cursor in ["c0", "c999999999"] {
        let mut late = watch(sandbox, cursor).await?;
        assert!(matches!(late.next().await?, Event::Resync(_)));
        assert!(late.cursor.is_empty(), "what is in force has not been told yet");
        assert!(matches!(late.next().await?, Event::Revocation(_)));
        assert!(matches!(late.next().await?, Event::Heartbeat(_)));
        assert!(!late.cursor.is_empty());
    }
    let crm = Bearer(sandbox.service_token("crm", "catalog")?);
    let refused = Watch::begin(sandbox.clients(), &crm, "yesterday").await.map(|_| ());
    assert_eq!(reason(refused), Some(Reason::FieldViolations));
    Ok(())
}

const TENANTS: usize = 10_000;
const SUBSCRIBERS: usize = 100;
/// Companies of the burst, and how often each of them changes.
const CHANGING: usize = 300;
const ROUNDS: i64 = 3;

async fn a_hundred_hear_a_burst_about_ten_thousand_in_order(sandbox: &Sandbox) -> anyhow::Result<()> {
    let ids: Vec<_> = (0..TENANTS).map(|_| Uuid::now_v7()).collect();
    for ids in ids.chunks(1_000) {
        let rows: Vec<_> = ids
            .iter()
            .map(|id| {
                let slug = id.simple();
                format!(
                    "({}, 'n', '{slug}', 'active', '{{}}', 1, 1, {now}, {now})",
                    literal(sandbox, *id),
                    now = now(sandbox)
                )
            })
            .collect();
        let columns = "id, name, slug, state, labels, access_epoch, revision, created_at, updated_at";
        sandbox.run_in_central(&format!("INSERT INTO companies ({columns}) VALUES {}", rows.join(", "))).await?;
    }
    let mut listeners = JoinSet::new();
    for at in 0..SUBSCRIBERS {
        let mut watch = watch(sandbox, "").await?;
        watch.settle().await?;
        listeners.spawn(async move { heard(watch).await.map_err(|status| format!("{at}: {status}")) });
    }
    let changing: Vec<_> = ids[..CHANGING].iter().map(|id| literal(sandbox, *id)).collect();
    let changing = changing.join(", ");
    for _ in 0..ROUNDS {
        sandbox
            .run_in_central(&format!("UPDATE companies SET access_epoch = access_epoch + 1 WHERE id IN ({changing})"))
            .await?;
        let sql =
            format!("INSERT INTO tenant_changes (company_id, created_at) SELECT id, {} FROM companies", now(sandbox));
        sandbox.run_in_central(&format!("{sql} WHERE id IN ({changing})")).await?;
    }
    let expected: BTreeSet<_> = ids[..CHANGING].iter().map(Uuid::to_string).collect();
    while let Some(heard) = listeners.join_next().await {
        assert_eq!(heard?.map_err(anyhow::Error::msg)?, expected);
    }
    Ok(())
}

/// The companies that came to their last epoch, each by epochs that never went back.
async fn heard(mut watch: Watch) -> Result<BTreeSet<String>, Status> {
    let mut epochs = BTreeMap::<String, i64>::new();
    let last = 1 + ROUNDS;
    while epochs.values().filter(|epoch| **epoch == last).count() < CHANGING {
        let Event::Tenant(change) = watch.news().await? else { return Err(Status::unknown("something else")) };
        let epoch = epochs.entry(change.company_id).or_default();
        assert!(change.access_epoch >= *epoch, "an epoch went back");
        *epoch = change.access_epoch;
    }
    Ok(epochs.into_keys().collect())
}

const WRITERS: usize = 6;
const TRANSACTIONS: usize = 25;

/// Transactions that commit in another order than they have written in, and some that do not commit at all: a listener
/// from the start and one that begins anew all the time both hear of every one that did.
async fn nothing_is_lost_between_transactions_at_once(sandbox: &Sandbox) -> anyhow::Result<()> {
    let mut steady = watch(sandbox, "").await?;
    let cursor = steady.settle().await?;
    // On SQLite nobody else writes meanwhile: there the order is the one of writing.
    if let Some(server) = sandbox.on_server() {
        let db = Database::connect(server.url_of(&server.central())).await?;
        let first = db.begin().await?;
        first.execute_unprepared(&revocation(sandbox, "user:first")).await?;
        db.execute_unprepared(&revocation(sandbox, "user:second")).await?;
        assert_eq!(subject(steady.news().await?).as_deref(), Some("user:second"));
        // The first one may still come, so that nobody is told to go on after the second.
        assert_eq!(steady.cursor, cursor);
        first.commit().await?;
        assert_eq!(subject(steady.news().await?).as_deref(), Some("user:first"));
        let mut again = watch(sandbox, &cursor).await?;
        let both = [subject(again.news().await?), subject(again.news().await?)];
        assert_eq!(both.map(Option::unwrap_or_default), ["user:first", "user:second"]);
        db.close().await?;
    }

    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let db = central(sandbox).await?;
        let rows: Vec<_> = (0..TRANSACTIONS)
            .map(|n| {
                (
                    n,
                    revocation(sandbox, &format!("user:{writer}.{n}")),
                    Duration::from_millis((writer * 7 + n * 13) as u64 % 23),
                )
            })
            .collect();
        let is_embedded = sandbox.on_server().is_none();
        writers.spawn(async move {
            for (n, row, pause) in rows {
                let tx = db.begin().await?;
                tx.execute_unprepared(&row).await?;
                if !is_embedded {
                    tokio::time::sleep(pause).await;
                }
                if n % 5 == 4 { tx.rollback().await? } else { tx.commit().await? }
            }
            anyhow::Ok(db.close().await?)
        });
    }
    let committed: BTreeSet<_> = (0..WRITERS)
        .flat_map(|writer| (0..TRANSACTIONS).filter(|n| n % 5 != 4).map(move |n| format!("user:{writer}.{n}")))
        .collect();
    let restless = async {
        let (mut cursor, mut heard) = (cursor, BTreeSet::new());
        while !heard.is_superset(&committed) {
            let mut watch = watch(sandbox, &cursor).await?;
            // To the end of what was missed, and a little on.
            loop {
                match watch.next().await? {
                    Event::Heartbeat(_) => break,
                    event => heard.extend(subject(event)),
                }
            }
            heard.extend(subject(watch.next().await?));
            cursor = watch.cursor;
        }
        anyhow::Ok(())
    };
    let steady = async {
        let mut heard = BTreeSet::new();
        while !heard.is_superset(&committed) {
            heard.extend(subject(steady.news().await?));
        }
        anyhow::Ok(())
    };
    let (restless, steady) = tokio::join!(tokio::time::timeout(BOUND, restless), tokio::time::timeout(BOUND, steady));
    while let Some(written) = writers.join_next().await {
        written??;
    }
    restless??;
    steady?
}

async fn central(sandbox: &Sandbox) -> anyhow::Result<DatabaseConnection> {
    let url = match sandbox.on_server() {
        Some(server) => server.url_of(&server.central()),
        None => format!("sqlite://{}", sandbox.folder().join("data/central.db").display()),
    };
    Ok(Database::connect(url).await?)
}

fn subject(event: Event) -> Option<String> {
    match event {
        Event::Revocation(revocation) => Some(revocation.subject),
        _ => None,
    }
}

fn revocation(sandbox: &Sandbox, subject: &str) -> String {
    let id = literal(sandbox, Uuid::now_v7());
    let now = now(sandbox);
    let columns = "company_id, subject, issued_before, created_at";
    format!("INSERT INTO tenant_changes ({columns}) VALUES ({id}, '{subject}', {now}, {now})")
}

/// An id as the engine keeps it.
fn literal(sandbox: &Sandbox, id: Uuid) -> String {
    match sandbox.on_server() {
        Some(server) if server.admin_url().starts_with("postgres") => format!("'{id}'"),
        _ => format!("X'{}'", id.simple()),
    }
}

/// Now, as the catalog would write it: SQLite compares times as text.
fn now(sandbox: &Sandbox) -> &'static str {
    match sandbox.on_server() {
        Some(_) => "CURRENT_TIMESTAMP",
        None => "strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')",
    }
}

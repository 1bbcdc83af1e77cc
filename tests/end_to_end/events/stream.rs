//! `WatchEvents`: at least once, in order per company, resumed, and nothing lost that commits late.

use std::collections::BTreeSet;
use std::time::Duration;

use sea_orm::{ConnectionTrait, Database, TransactionTrait};
use tenantry_api::catalog::v1::watch_events_response::Message;
use tenantry_api::catalog::v1::{Event, ListEventsRequest, WatchEventsRequest, WatchEventsResponse};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Bearer, Owner};
use tenantry_testkit::sandbox::Sandbox;
use tokio::task::JoinSet;
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::list;
use crate::lifecycle::Operations;
use crate::support::{per_engine, reason};

per_engine!(
    what_happens_is_told_and_a_cursor_goes_on,
    a_stream_begins_anywhere_and_tells_what_it_is_asked_for,
    what_commits_late_is_told_and_nothing_is_lost,
    each_companys_events_come_in_their_order,
);

/// Nothing takes so long; who waits longer waits for nothing.
const BOUND: Duration = Duration::from_secs(60);

pub(super) struct Watch {
    stream: Streaming<WatchEventsResponse>,
    pub(super) cursor: String,
}

impl Watch {
    pub(super) async fn begin(sandbox: &Sandbox, by: &impl Actor, request: WatchEventsRequest) -> Result<Self, Status> {
        let mut events = sandbox.clients().events().expect("a client");
        let stream = events.watch_events(by.request(request)).await?.into_inner();
        let mut watch = Self { stream, cursor: String::new() };
        let Message::Start(start) = watch.next().await? else { panic!("no start") };
        assert!(start.heartbeat_interval_ms > 0 && !watch.cursor.is_empty());
        Ok(watch)
    }

    pub(super) async fn next(&mut self) -> Result<Message, Status> {
        let message = tokio::time::timeout(BOUND, self.stream.message()).await.expect("nothing comes")?;
        let message = message.ok_or_else(|| Status::unknown("the stream has ended"))?;
        self.cursor = message.cursor;
        Ok(message.message.expect("a message"))
    }

    pub(super) async fn event(&mut self) -> Result<Event, Status> {
        let event = async {
            loop {
                if let Message::Event(event) = self.next().await? {
                    return Ok(event);
                }
            }
        };
        tokio::time::timeout(BOUND, event).await.expect("nothing but heartbeats comes")
    }
}

fn after(cursor: &str) -> WatchEventsRequest {
    WatchEventsRequest { cursor: cursor.into(), ..Default::default() }
}

async fn what_happens_is_told_and_a_cursor_goes_on(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let id = Owner::of_new_company(sandbox, "Told").await?.company.id;
    let mut first = Watch::begin(sandbox, &operations.operator, WatchEventsRequest::default()).await?;
    operations.enter_maintenance(&id, 1).await?;
    let entered = first.event().await?;
    // Not what was there before.
    assert_eq!((entered.kind.as_str(), &entered.company_id), ("company.maintenance_entered", &id));
    let cursor = first.cursor.clone();
    assert!(matches!(first.next().await?, Message::Heartbeat(_)));
    assert!(!first.cursor.is_empty());
    drop(first);

    operations.leave_maintenance(&id).await?;
    operations.suspend(&id).await?;
    let mut second = Watch::begin(sandbox, &operations.operator, after(&cursor)).await?;
    let kinds = [second.event().await?.kind, second.event().await?.kind];
    assert_eq!(kinds, ["company.maintenance_left", "company.suspended"]);
    // Again, from the same place: at least once.
    let mut again = Watch::begin(sandbox, &operations.operator, after(&cursor)).await?;
    assert_eq!(again.event().await?.kind, "company.maintenance_left");

    for bad in ["yesterday", "c0", "e-1", "e9223372036854775807"] {
        let refused = Watch::begin(sandbox, &operations.operator, after(bad)).await.map(|_| ());
        assert_eq!(reason(refused), Some(Reason::FieldViolations), "{bad}");
    }
    let both = WatchEventsRequest { from_beginning: true, ..after(&cursor) };
    let refused = Watch::begin(sandbox, &operations.operator, both).await.map(|_| ());
    assert_eq!(reason(refused), Some(Reason::FieldViolations));
    Ok(())
}

async fn a_stream_begins_anywhere_and_tells_what_it_is_asked_for(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let (one, other) = (Owner::of_new_company(sandbox, "One").await?, Owner::of_new_company(sandbox, "Two").await?);
    operations.suspend(&other.company.id).await?;
    operations.suspend(&one.company.id).await?;
    let mut all = list(sandbox, &operations.operator, ListEventsRequest { page_size: 2, ..Default::default() }).await?;
    all.reverse();
    let crm = Bearer(sandbox.service_token("crm", "catalog")?);
    let beginning = WatchEventsRequest { from_beginning: true, ..Default::default() };
    let mut everything = Watch::begin(sandbox, &crm, beginning.clone()).await?;
    let mut cursors = Vec::new();
    for expected in &all {
        assert_eq!(everything.event().await?.id, expected.id);
        cursors.push(everything.cursor.clone());
    }
    // Each cursor goes on right after its message.
    for (cursor, next) in cursors.iter().zip(&all[1..]) {
        let mut from_there = Watch::begin(sandbox, &crm, after(cursor)).await?;
        assert_eq!(from_there.event().await?.id, next.id, "{cursor}");
    }
    let of_one = WatchEventsRequest { company_id: one.company.id.clone(), ..beginning.clone() };
    let mut of_one = Watch::begin(sandbox, &crm, of_one).await?;
    for kind in ["company.created", "company.activated", "user.signed_in", "company.suspended"] {
        let event = of_one.event().await?;
        assert_eq!((event.kind.as_str(), &event.company_id), (kind, &one.company.id));
    }
    let of_kind = WatchEventsRequest { kinds: vec!["company.suspended".into()], ..beginning };
    let mut of_kind = Watch::begin(sandbox, &crm, of_kind).await?;
    assert_eq!(of_kind.event().await?.company_id, other.company.id);
    assert_eq!(of_kind.event().await?.company_id, one.company.id);
    // What is not told moves the cursor all the same.
    let before = of_kind.cursor.clone();
    operations.resume(&one.company.id).await?;
    while of_kind.cursor == before {
        assert!(matches!(of_kind.next().await?, Message::Heartbeat(_)));
    }
    Ok(())
}

/// An event of no change, written as the catalog writes one.
fn insert(sandbox: &Sandbox, company: Uuid, kind: &str) -> String {
    let (id, company) = (literal(sandbox, Uuid::now_v7()), literal(sandbox, company));
    let now = if sandbox.on_server().is_some() { "CURRENT_TIMESTAMP" } else { NOW_ON_SQLITE };
    format!(
        "INSERT INTO events (id, company_id, kind, actor, payload, occurred_at) \
         VALUES ({id}, {company}, '{kind}', 'service:test', '{{}}', {now})"
    )
}

/// As the catalog would write it: SQLite compares times as text.
const NOW_ON_SQLITE: &str = "strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')";

/// An id as the engine keeps it.
fn literal(sandbox: &Sandbox, id: Uuid) -> String {
    match sandbox.on_server() {
        Some(server) if server.admin_url().starts_with("postgres") => format!("'{id}'"),
        _ => format!("X'{}'", id.simple()),
    }
}

async fn central(sandbox: &Sandbox) -> anyhow::Result<sea_orm::DatabaseConnection> {
    let url = match sandbox.on_server() {
        Some(server) => server.url_of(&server.central()),
        None => format!("sqlite://{}", sandbox.folder().join("data/central.db").display()),
    };
    Ok(Database::connect(url).await?)
}

const WRITERS: usize = 6;
const TRANSACTIONS: usize = 20;

async fn what_commits_late_is_told_and_nothing_is_lost(sandbox: &Sandbox) -> anyhow::Result<()> {
    let crm = Bearer(sandbox.service_token("crm", "catalog")?);
    let mut steady = Watch::begin(sandbox, &crm, WatchEventsRequest::default()).await?;
    let cursor = steady.cursor.clone();
    // On SQLite nobody else writes meanwhile: there the order is the one of writing.
    if sandbox.on_server().is_some() {
        let db = central(sandbox).await?;
        let late = db.begin().await?;
        late.execute_unprepared(&insert(sandbox, Uuid::now_v7(), "late")).await?;
        db.execute_unprepared(&insert(sandbox, Uuid::now_v7(), "early")).await?;
        assert_eq!(steady.event().await?.kind, "early");
        // The other one may still come, so that nobody is told to go on after it.
        assert_eq!(steady.cursor, cursor);
        // Who begins now hears of what commits from now on.
        let mut begun = Watch::begin(sandbox, &crm, WatchEventsRequest::default()).await?;
        late.commit().await?;
        assert_eq!(steady.event().await?.kind, "late");
        assert_eq!(begun.event().await?.kind, "late");
        let mut again = Watch::begin(sandbox, &crm, after(&cursor)).await?;
        assert_eq!([again.event().await?.kind, again.event().await?.kind], ["late", "early"]);
        db.close().await?;
    }
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let db = central(sandbox).await?;
        let row = |n| insert(sandbox, Uuid::now_v7(), &format!("{writer}.{n}"));
        let rows: Vec<_> =
            (0..TRANSACTIONS).map(|n| (n, row(n), Duration::from_millis((writer * 7 + n * 13) as u64 % 23))).collect();
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
        .flat_map(|writer| (0..TRANSACTIONS).filter(|n| n % 5 != 4).map(move |n| format!("{writer}.{n}")))
        .collect();
    let restless = async {
        let (mut cursor, mut heard) = (cursor, BTreeSet::new());
        while !heard.is_superset(&committed) {
            let mut watch = Watch::begin(sandbox, &crm, after(&cursor)).await?;
            // To the end of what was missed, and a little on.
            loop {
                match watch.next().await? {
                    Message::Heartbeat(_) => break,
                    Message::Event(event) => heard.insert(event.kind),
                    Message::Start(_) => false,
                };
            }
            if let Message::Event(event) = watch.next().await? {
                heard.insert(event.kind);
            }
            cursor = watch.cursor;
        }
        anyhow::Ok(())
    };
    let steady = async {
        let mut heard = BTreeSet::new();
        while !heard.is_superset(&committed) {
            heard.insert(steady.event().await?.kind);
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

const ROUNDS: usize = 6;

/// Companies that change at once, each from state to state: a listener sees no event before the one that led to it.
async fn each_companys_events_come_in_their_order(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = std::sync::Arc::new(Operations::of(sandbox).await?);
    let mut watch = Watch::begin(sandbox, &operations.operator, WatchEventsRequest::default()).await?;
    let mut changing = JoinSet::new();
    let mut ids = BTreeSet::new();
    for name in ["A", "B", "C", "D"] {
        let id = Owner::of_new_company(sandbox, name).await?.company.id;
        ids.insert(id.clone());
        let operations = operations.clone();
        changing.spawn(async move {
            for _ in 0..ROUNDS {
                operations.suspend(&id).await?;
                operations.resume(&id).await?;
            }
            operations.delete(&id).await
        });
    }
    let mut states = std::collections::BTreeMap::new();
    while !ids.iter().all(|id| states.get(id).is_some_and(|state| state == "DELETED")) {
        let event = watch.event().await?;
        let said = super::details(&event);
        let Some(to) = said["to"].as_str() else { continue };
        let before = states.insert(event.company_id.clone(), to.to_owned());
        assert_eq!(before.as_deref(), said["from"].as_str(), "{} came too early", event.kind);
    }
    while let Some(changed) = changing.join_next().await {
        changed??;
    }
    Ok(())
}

//! Events are kept for as long as is asked for, and who comes too late is told.

use tenantry_api::catalog::v1::{ListEventsRequest, WatchEventsRequest};
use tenantry_rpc::{Reason, reason_of};
use tenantry_testkit::actors::Owner;
use tenantry_testkit::sandbox::{Engine, OnServer, Sandbox, Tuning};

use super::list;
use super::stream::Watch;
use crate::lifecycle::Operations;
use crate::processes::eventually;
use crate::support::reason;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_old_is_removed_and_late_comers_are_told_on_sqlite() -> anyhow::Result<()> {
    what_is_too_old_is_removed_and_late_comers_are_told(Engine::Sqlite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_old_is_removed_and_late_comers_are_told_on_postgres() -> anyhow::Result<()> {
    what_is_too_old_is_removed_and_late_comers_are_told(Engine::Postgres).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_old_is_removed_and_late_comers_are_told_on_mariadb() -> anyhow::Result<()> {
    what_is_too_old_is_removed_and_late_comers_are_told(Engine::MariaDb).await
}

/// More than two transactions remove.
const OLD: usize = 2_300;

async fn what_is_too_old_is_removed_and_late_comers_are_told(engine: Engine) -> anyhow::Result<()> {
    let tuning = Tuning { events_kept_days: Some(1), events_sweep_ms: Some(50), ..Tuning::NONE };
    let sandbox = Sandbox::start_tuned(OnServer::of_suite(engine)?, tuning).await?;
    let operations = Operations::of(&sandbox).await?;
    let first = Owner::of_new_company(&sandbox, "First").await?.company.id;
    let before = list(&sandbox, &operations.operator, ListEventsRequest::default()).await?;
    let mut watch = Watch::begin(&sandbox, &operations.operator, WatchEventsRequest::default()).await?;

    // Everything so far, and much more, as of the day before yesterday; and of a little less than a day ago.
    let long_ago = |id: &str| of_age(engine, id, 172_800);
    for batch in (0..OLD).collect::<Vec<_>>().chunks(500) {
        let rows: Vec<_> = batch.iter().map(|_| long_ago("old")).collect();
        sandbox.run_in_central(&inserted(&rows)).await?;
    }
    sandbox.run_in_central(&format!("UPDATE events SET occurred_at = {}", time(engine, 172_800))).await?;
    sandbox.run_in_central(&inserted(&[of_age(engine, "younger", 86_000)])).await?;
    let second = Owner::of_new_company(&sandbox, "Second").await?.company.id;

    let kept = eventually("nothing that is too old", async || {
        let kept = list(&sandbox, &operations.operator, ListEventsRequest { page_size: 1_000, ..Default::default() });
        let kept = kept.await?;
        Ok(kept.iter().all(|event| event.kind != "old" && event.company_id != first).then_some(kept))
    })
    .await?;
    let kinds: Vec<_> = kept.iter().rev().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["younger", "company.created", "company.activated", "user.signed_in"]);
    assert!(before.iter().all(|event| !kept.contains(event)));
    assert!(kept.iter().skip(1).all(|event| event.company_id == second || event.kind == "younger"));

    // Who was away too long, and who reads from the beginning of what is kept.
    let cursor = |cursor: &str| WatchEventsRequest { cursor: cursor.into(), ..Default::default() };
    for late in ["e0", "e1", &watch.cursor] {
        let refused = Watch::begin(&sandbox, &operations.operator, cursor(late)).await.map(|_| ());
        assert_eq!(reason(refused), Some(Reason::CursorExpired), "{late}");
    }
    let beginning = WatchEventsRequest { from_beginning: true, ..Default::default() };
    let mut anew = Watch::begin(&sandbox, &operations.operator, beginning).await?;
    // Its first cursor is good: nothing after it was removed.
    let mut again = Watch::begin(&sandbox, &operations.operator, cursor(&anew.cursor)).await?;
    for kind in ["younger", "company.created", "company.activated", "user.signed_in"] {
        assert_eq!((anew.event().await?.kind.as_str(), again.event().await?.kind.as_str()), (kind, kind));
    }
    // Who was slow has heard everything, or hears that it has not.
    let end = loop {
        match watch.event().await {
            Ok(event) if event.company_id == second => break None,
            Ok(_) => {}
            Err(status) => break reason_of(&status),
        }
    };
    assert!(matches!(end, None | Some(Reason::CursorExpired)), "{end:?}");

    // The newest stays, whatever its age: the mark of where the log is.
    sandbox.run_in_central(&format!("UPDATE events SET occurred_at = {}", time(engine, 172_800))).await?;
    let left = eventually("one event", async || {
        let left = list(&sandbox, &operations.operator, ListEventsRequest::default()).await?;
        Ok((left.len() == 1).then_some(left))
    })
    .await?;
    assert_eq!(left[0].kind, "user.signed_in");
    sandbox.stop().await
}

fn inserted(rows: &[String]) -> String {
    format!("INSERT INTO events (id, kind, actor, payload, occurred_at) VALUES {}", rows.join(", "))
}

fn of_age(engine: Engine, kind: &str, seconds: i64) -> String {
    let id = uuid::Uuid::now_v7();
    let id = if engine == Engine::Postgres { format!("'{id}'") } else { format!("X'{}'", id.simple()) };
    format!("({id}, '{kind}', 'service:test', '{{}}', {})", time(engine, seconds))
}

fn time(engine: Engine, seconds_ago: i64) -> String {
    match engine {
        Engine::Sqlite => format!("strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now', '-{seconds_ago} seconds')"),
        Engine::Postgres | Engine::NewestPostgres => format!("now() - interval '{seconds_ago} seconds'"),
        Engine::MariaDb => format!("UTC_TIMESTAMP(6) - INTERVAL {seconds_ago} SECOND"),
    }
}

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use sqlx::{Connection, PgConnection, Row};

use super::support::{Databases, Request, eventually, pools_of, run_as_admin};
use super::{budget, cases, links};
use crate::{Isolation, TenancyError, TenantConnection, TxOptions};

#[tokio::test]
async fn crud() {
    cases::crud(Databases::postgres(1).await).await;
}

#[tokio::test]
async fn transactions() {
    cases::transactions(Databases::postgres(1).await).await;
}

#[tokio::test]
async fn closures() {
    cases::closures(Databases::postgres(1).await).await;
}

#[tokio::test]
async fn deadlock() {
    cases::deadlock(Databases::postgres(1).await).await;
}

#[tokio::test]
async fn exhaustion() {
    cases::exhaustion(Databases::postgres(1).await).await;
}

#[tokio::test]
async fn cleanliness() {
    cases::cleanliness(Databases::postgres(1).await).await;
}

#[tokio::test]
async fn generations() {
    cases::generations(Databases::postgres(1).await).await;
}

#[tokio::test]
async fn endings() {
    cases::endings(Databases::postgres(1).await).await;
}

#[tokio::test]
async fn server_gone_and_back() {
    links::server_gone_and_back(Databases::postgres(1).await).await;
}

#[tokio::test]
async fn dead_idle_connections() {
    links::dead_idle_connections(Databases::postgres(1).await).await;
}

#[tokio::test]
async fn refusals() {
    links::refusals(Databases::postgres(1).await).await;
}

#[tokio::test]
async fn a_broken_server_is_left_alone() {
    links::a_broken_server_is_left_alone(Databases::postgres(1).await).await;
}

#[tokio::test]
async fn a_tenants_own_failures_break_nothing() {
    links::a_tenants_own_failures_break_nothing(Databases::postgres(1).await).await;
}

#[tokio::test]
async fn one_at_a_time_tries_a_silent_server() {
    links::one_at_a_time_tries_a_silent_server(Databases::postgres(1).await).await;
}

/// The server's own count of the test's connections.
async fn backends(databases: &Databases, connection: &mut PgConnection) -> i64 {
    sqlx::query("SELECT count(*) FROM pg_stat_activity WHERE starts_with(datname, $1)")
        .bind(&databases.prefix)
        .fetch_one(connection)
        .await
        .unwrap()
        .get(0)
}

async fn admin(databases: &Databases) -> PgConnection {
    PgConnection::connect(databases.admin.as_ref().unwrap().as_str()).await.unwrap()
}

async fn backend_pid(connection: &impl TenantConnection) -> i32 {
    let sql = Statement::from_string(DbBackend::Postgres, "SELECT pg_backend_pid()");
    connection.query_one_raw(sql).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn budget_is_never_exceeded() {
    let databases = Databases::postgres(40).await;
    let connection = tokio::sync::Mutex::new(admin(&databases).await);
    budget::crowd(databases, async |databases| backends(databases, &mut *connection.lock().await).await).await;
}

#[tokio::test]
async fn a_checkout_is_exclusive() {
    let databases = Databases::postgres(1).await;
    let pools = pools_of(2);
    let (one, two) = (Request::to(&pools, databases.first()), Request::to(&pools, databases.first()));
    let (db_one, db_two) = (one.db(), two.db());
    let (first, second) = tokio::join!(db_one.read(), db_two.read());
    let (first, second) = (first.unwrap(), second.unwrap());
    let pid = backend_pid(&first).await;
    assert_ne!(pid, backend_pid(&second).await);
    drop(first);
    let third = db_one.read().await.unwrap();
    assert_eq!(pid, backend_pid(&third).await, "and is used again afterwards");
}

#[tokio::test]
async fn a_cancelled_statement_costs_its_connection() {
    let databases = Databases::postgres(1).await;
    let pools = pools_of(1);
    let request = Request::to(&pools, databases.first());
    let db = request.db();
    let connection = db.read().await.unwrap();
    let pid = backend_pid(&connection).await;
    let sleep = Statement::from_string(DbBackend::Postgres, "SELECT 1 FROM pg_sleep(60)");
    tokio::time::timeout(Duration::from_millis(50), connection.query_one_raw(sleep)).await.unwrap_err();
    drop(connection);
    assert_eq!((pools.stats().open, pools.stats().in_use), (1, 0), "its place is taken while the backend lives");

    let before = Instant::now();
    let next = db.read().await.unwrap();
    assert_ne!(pid, backend_pid(&next).await);
    assert!(before.elapsed() < Duration::from_secs(30), "{:?}", before.elapsed());
    let mut admin = admin(&databases).await;
    assert_eq!(backends(&databases, &mut admin).await, 1, "the cancelled backend is gone");
}

#[tokio::test]
async fn a_killed_backend_is_replaced() {
    let databases = Databases::postgres(1).await;
    let pools = pools_of(1);
    let request = Request::to(&pools, databases.first());
    let db = request.db();
    let pid = backend_pid(&db.read().await.unwrap()).await;
    run_as_admin(databases.admin.as_ref().unwrap(), [format!("SELECT pg_terminate_backend({pid})")]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let failed = db.read().await.unwrap().execute_unprepared("SELECT 1").await;
    assert!(failed.is_err());
    assert_ne!(pid, backend_pid(&db.read().await.unwrap()).await);
}

/// A row that another request changed after this one read it.
#[tokio::test]
async fn serialization_failures_are_retried() {
    let databases = Databases::postgres(1).await;
    cases::one_note(&databases, "n").await;
    let pools = pools_of(3);
    let (request, other) = (Request::to(&pools, databases.first()), Request::to(&pools, databases.first()));
    let (db, other) = (request.db(), other.db());

    let (attempts, other) = (&std::cell::Cell::new(0), &other);
    let options = TxOptions { isolation: Isolation::Serializable, ..TxOptions::default() };
    db.transaction_with(options, |tx| async move {
        attempts.set(attempts.get() + 1);
        cases::amount(&tx, "n").await;
        if attempts.get() == 1 {
            cases::add_one(&other.read().await?, "n").await?;
        }
        cases::add_one(&tx, "n").await?;
        Ok::<_, TenancyError>(())
    })
    .await
    .unwrap();
    assert_eq!(attempts.get(), 2);
    assert_eq!(cases::amount(&db.read().await.unwrap(), "n").await, -3);
}

/// Write skew: only the commit finds out.
#[tokio::test]
async fn a_commit_that_collides_is_retried() {
    let databases = Databases::postgres(1).await;
    cases::one_note(&databases, "n").await;
    databases.run("CREATE TABLE seen (id int PRIMARY KEY); INSERT INTO seen VALUES (0)").await;
    let pools = pools_of(3);
    let (request, other) = (Request::to(&pools, databases.first()), Request::to(&pools, databases.first()));
    let (db, other) = (request.db(), other.db());

    let (attempts, other) = (&std::cell::Cell::new(0), &other);
    let options = TxOptions { isolation: Isolation::Serializable, ..TxOptions::default() };
    let row = &|sql: &str| Statement::from_string(DbBackend::Postgres, sql);
    db.transaction_with(options, |tx| async move {
        attempts.set(attempts.get() + 1);
        tx.query_all_raw(row("SELECT * FROM seen")).await?;
        cases::add_one(&tx, "n").await?;
        if attempts.get() == 1 {
            let theirs = other.begin_with(Isolation::Serializable).await?;
            cases::amount(&theirs, "n").await;
            theirs.execute_raw(row("INSERT INTO seen VALUES (1)")).await?;
            theirs.commit().await?;
        }
        Ok::<_, TenancyError>(())
    })
    .await
    .unwrap();
    assert_eq!(attempts.get(), 2);
    assert_eq!(cases::amount(&db.read().await.unwrap(), "n").await, -4);
}

#[tokio::test]
async fn cancelled_checkouts_lose_no_place() {
    let databases = Databases::postgres(3).await;
    let pools = pools_of(2);
    for n in 0..60_u64 {
        let request = Request::to(&pools, &databases.placements[n as usize % 3]);
        let db = request.db();
        let _ = tokio::time::timeout(Duration::from_micros(n * 100), db.read()).await;
    }
    eventually("all has settled", async || {
        let stats = pools.stats();
        stats.open == stats.idle && stats.waiting == 0
    })
    .await;
    let (one, two) = (Request::to(&pools, &databases.placements[0]), Request::to(&pools, &databases.placements[1]));
    let (db_one, db_two) = (one.db(), two.db());
    let both = (db_one.read().await.unwrap(), db_two.read().await.unwrap());
    assert_eq!(pools.stats().in_use, 2);
    drop(both);
}

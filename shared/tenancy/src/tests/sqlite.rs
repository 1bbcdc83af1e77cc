use std::num::NonZeroU32;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::support::{Databases, Request, eventually, pools, pools_of};
use super::{budget, cases};
use crate::{CheckoutError, Endpoint, Limits, Placement, PoolConfig, Retryable, TenancyError, TenantDb};

#[tokio::test]
async fn crud() {
    cases::crud(Databases::sqlite(1).await).await;
}

#[tokio::test]
async fn transactions() {
    cases::transactions(Databases::sqlite(1).await).await;
}

#[tokio::test]
async fn closures() {
    cases::closures(Databases::sqlite(1).await).await;
}

#[tokio::test]
async fn exhaustion() {
    cases::exhaustion(Databases::sqlite(1).await).await;
}

#[tokio::test]
async fn cleanliness() {
    cases::cleanliness(Databases::sqlite(1).await).await;
}

#[tokio::test]
async fn generations() {
    cases::generations(Databases::sqlite(1).await).await;
}

#[tokio::test]
async fn endings() {
    cases::endings(Databases::sqlite(1).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn budget_is_never_exceeded() {
    budget::crowd(Databases::sqlite(40).await, async |_| 0).await;
}

#[tokio::test]
async fn the_session_is_set_up() {
    let databases = Databases::sqlite(1).await;
    let pools = pools_of(1);
    let request = Request::to(&pools, databases.first());
    let db = request.db();
    let connection = db.read().await.unwrap();
    for (pragma, value) in [("journal_mode", "wal"), ("foreign_keys", "1"), ("busy_timeout", "5000")] {
        let sql = format!("SELECT CAST({pragma} AS text) AS value FROM pragma_{pragma}")
            .replace("CAST(busy_timeout", "CAST(timeout");
        let row = connection.query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap().unwrap();
        assert_eq!(row.try_get::<String>("", "value").unwrap(), value, "{pragma}");
    }
}

#[tokio::test]
async fn a_missing_file_is_refused_and_not_made() {
    let databases = Databases::sqlite(1).await;
    let Endpoint::Sqlite { path } = &databases.first().endpoint else { panic!() };
    let path = path.with_extension("missing");
    let placement = Placement { endpoint: Endpoint::Sqlite { path: path.clone() }, ..databases.first().clone() };
    let pools = pools_of(1);
    let refused = Request::to(&pools, &placement).db().read().await.map(|_| ());
    assert!(matches!(refused, Err(TenancyError::Checkout(CheckoutError::Refused(_)))), "{refused:?}");
    assert!(!path.exists());
    assert_eq!(pools.stats().open, 0);
}

/// A cancelled statement's connection keeps its place until the statement ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_statement_costs_its_connection() {
    const SLOW: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT max(i) FROM n";
    let databases = Databases::sqlite(1).await;
    let pools = pools_of(1);
    let request = Request::to(&pools, databases.first());
    let db = request.db();
    let connection = db.read().await.unwrap();
    let statement = connection.query_one_raw(Statement::from_string(DbBackend::Sqlite, SLOW));
    tokio::time::timeout(Duration::from_millis(50), statement).await.unwrap_err();
    let next = connection.execute_unprepared("SELECT 1").await;
    assert!(next.is_err(), "nothing more runs on it");
    drop(connection);
    assert_eq!(pools.stats().open, 1);
    drop(db.read().await.unwrap());
    eventually("one is open", async || pools.stats().open == 1).await;
    assert_eq!(pools.stats().connects, 2);
}

#[tokio::test]
async fn a_busy_file_is_worth_another_attempt() {
    use sqlx::{ConnectOptions, Executor};
    let databases = Databases::sqlite(1).await;
    let Endpoint::Sqlite { path } = &databases.first().endpoint else { panic!() };
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).busy_timeout(Duration::ZERO);
    let (mut one, mut two) = (options.connect().await.unwrap(), options.connect().await.unwrap());
    one.execute("BEGIN IMMEDIATE").await.unwrap();
    let busy = two.execute("BEGIN IMMEDIATE").await.unwrap_err();
    assert!(crate::engine::exec_error(busy).is_retryable());
}

/// A tenant's own limit goes before the configured one, up and down, while connections are out.
#[tokio::test]
async fn the_most_connections_of_a_tenant_follow_its_placement() {
    let databases = Databases::sqlite(1).await;
    let pools = pools(PoolConfig {
        connections_per_server: 8,
        connections_per_tenant: 2,
        checkout_timeout_ms: 50,
        ..PoolConfig::default()
    });
    let with = |most| {
        let limits = Limits { connections: NonZeroU32::new(most), ..Limits::default() };
        Request::to(&pools, &Placement { limits, ..databases.first().clone() })
    };
    let (configured, wide, narrow) = (with(0), with(3), with(1));
    let (configured, wide, narrow) = (configured.db(), wide.db(), narrow.db());
    let exhausted =
        async |db: &TenantDb<'_>| matches!(db.read().await, Err(TenancyError::Checkout(CheckoutError::Exhausted)));
    let first = configured.read().await.unwrap();
    let second = configured.read().await.unwrap();
    assert!(exhausted(&configured).await);
    let third = wide.read().await.unwrap();
    assert!(exhausted(&wide).await);
    assert!(exhausted(&narrow).await, "three are out");
    drop((second, third));
    assert!(exhausted(&narrow).await, "one is out");
    drop(first);
    let only = narrow.read().await.unwrap();
    assert!(exhausted(&narrow).await);
    drop(only);
    assert!(pools.stats().open <= 3);
}

//! Servers that go away and come back.

use std::time::Duration;

use sea_orm::Statement;
use tokio::net::TcpListener;

use super::proxy::Proxy;
use super::support::{Databases, Request, eventually, pools, pools_of};
use crate::{CheckoutError, Endpoint, Placement, PoolConfig, Pools, TenancyError, TenantConnection};

async fn ask(connection: &impl TenantConnection) -> bool {
    let statement = Statement::from_string(connection.get_database_backend(), "SELECT 1");
    connection.query_one_raw(statement).await.is_ok()
}

pub(super) async fn server_gone_and_back(databases: Databases) {
    let (mut proxy, placement) = Proxy::before(databases.first()).await;
    let pools = pools_of(3);
    let request = Request::to(&pools, &placement);
    let db = request.db();
    assert!(ask(&db.read().await.unwrap()).await);

    proxy.down().await;
    // The idle connection is dead, and only a statement finds out.
    assert!(!ask(&db.read().await.unwrap()).await);
    let gone = db.read().await.map(|_| ());
    assert!(matches!(gone, Err(TenancyError::Checkout(CheckoutError::Connect(_)))), "{gone:?}");
    eventually("no place is lost", async || pools.stats().open == 0).await;

    proxy.up().await;
    assert!(ask(&db.read().await.unwrap()).await);
}

pub(super) async fn dead_idle_connections(databases: Databases) {
    let (proxy, placement) = Proxy::before(databases.first()).await;
    let pools = pools_of(3);
    let request = Request::to(&pools, &placement);
    let db = request.db();
    let all = [db.read().await.unwrap(), db.read().await.unwrap(), db.read().await.unwrap()];
    drop(all);
    assert_eq!(pools.stats().idle, 3);

    proxy.cut().await;
    assert!(!ask(&db.read().await.unwrap()).await, "the first to find out");
    for _ in 0..4 {
        assert!(ask(&db.read().await.unwrap()).await, "the others are asked first");
    }
    eventually("the dead are closed", async || pools.stats().open == 1).await;
}

pub(super) async fn refusals(databases: Databases) {
    let pools = pools_of(1);
    let known = databases.first();
    let mut wrong = known.endpoint.clone();
    let (Endpoint::Postgres { password, .. } | Endpoint::MySql { password, .. }) = &mut wrong else { panic!() };
    *password = "wrong".into();
    for placement in [
        Placement { database: format!("{}missing", databases.prefix), ..known.clone() },
        Placement { endpoint: wrong, ..known.clone() },
    ] {
        let refused = Request::to(&pools, &placement).db().read().await.map(|_| ());
        assert!(matches!(refused, Err(TenancyError::Checkout(CheckoutError::Refused(_)))), "{refused:?}");
    }
    assert_eq!(pools.stats().open, 0);
    drop(Request::to(&pools, known).db().read().await.unwrap());
}

fn breaking_after(failures: u32) -> PoolConfig {
    PoolConfig {
        breaker_failures: failures,
        breaker_wait_ms: 200,
        breaker_max_wait_ms: 400,
        // Bounds for what hangs, no measure of speed.
        connect_timeout_ms: 60_000,
        checkout_timeout_ms: 60_000,
        ..PoolConfig::default()
    }
}

async fn checkout(pools: &std::sync::Arc<Pools>, placement: &Placement) -> Result<(), CheckoutError> {
    match Request::to(pools, placement).db().read().await {
        Ok(connection) => {
            assert!(ask(&connection).await);
            Ok(())
        }
        Err(TenancyError::Checkout(error)) => Err(error),
        Err(other) => panic!("{other:?}"),
    }
}

pub(super) async fn a_broken_server_is_left_alone(databases: Databases) {
    let (mut proxy, placement) = Proxy::before(databases.first()).await;
    let neighbour = Placement { server: "another".to_owned(), ..databases.first().clone() };
    let pools = pools(breaking_after(3));
    let request = Request::to(&pools, &placement);
    let db = request.db();
    assert!(ask(&db.read().await.unwrap()).await);

    proxy.down().await;
    assert!(!ask(&db.read().await.unwrap()).await, "only a statement finds out that it is dead");
    for _ in 0..3 {
        assert_eq!(pools.stats().broken, 0);
        let failed = checkout(&pools, &placement).await;
        assert!(matches!(failed, Err(CheckoutError::Connect(_))), "{failed:?}");
    }
    let refused = checkout(&pools, &placement).await;
    let Err(CheckoutError::Broken { retry_after }) = refused else { panic!("{refused:?}") };
    assert!(!retry_after.is_zero() && retry_after <= Duration::from_millis(200), "{retry_after:?}");
    checkout(&pools, &neighbour).await.unwrap();
    let stats = pools.stats();
    assert_eq!((stats.broken, stats.refused, stats.failures), (1, 1, 3), "{stats:?}");

    // One after the other finds out that nothing has changed, and everybody else is refused at once.
    eventually("another attempt", async || {
        matches!(checkout(&pools, &placement).await, Err(CheckoutError::Connect(_)))
    })
    .await;
    assert_eq!(pools.stats().broken, 1);

    proxy.up().await;
    eventually("the server is back", async || checkout(&pools, &placement).await.is_ok()).await;
    assert_eq!(pools.stats().broken, 0);
    checkout(&pools, &placement).await.unwrap();
    checkout(&pools, &neighbour).await.unwrap();
}

pub(super) async fn a_tenants_own_failures_break_nothing(databases: Databases) {
    let pools = pools(breaking_after(1));
    let known = databases.first();
    let mut wrong = known.endpoint.clone();
    let (Endpoint::Postgres { password, .. } | Endpoint::MySql { password, .. }) = &mut wrong else { panic!() };
    *password = "wrong".into();
    for placement in [
        Placement { database: format!("{}missing", databases.prefix), ..known.clone() },
        Placement { endpoint: wrong, ..known.clone() },
    ] {
        for _ in 0..3 {
            let refused = checkout(&pools, &placement).await;
            assert!(matches!(refused, Err(CheckoutError::Refused(_))), "{refused:?}");
            assert_eq!(pools.stats().broken, 0);
        }
    }
    checkout(&pools, known).await.unwrap();
    assert_eq!((pools.stats().failures, pools.stats().connects), (6, 1));
}

/// A server that takes connections and says nothing: whoever tries finds out late, so only one may.
pub(super) async fn one_at_a_time_tries_a_silent_server(databases: Databases) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut silent = databases.first().clone();
    let (Endpoint::Postgres { port, .. } | Endpoint::MySql { port, .. }) = &mut silent.endpoint else { panic!() };
    *port = listener.local_addr().unwrap().port();
    let pools = pools(PoolConfig { connect_timeout_ms: 500, ..breaking_after(1) });
    let mut taken = Vec::new();
    let failed = tokio::join!(checkout(&pools, &silent), listener.accept());
    assert!(matches!(failed.0, Err(CheckoutError::Connect(_))), "{failed:?}");
    taken.push(failed.1.unwrap());

    let ended = std::cell::Cell::new(false);
    let crowd = async {
        eventually("a second attempt", async || {
            let all = std::array::from_fn::<_, 20, _>(|_| checkout(&pools, &silent));
            let all = futures_util::future::join_all(all).await;
            all.iter().any(|one| matches!(one, Err(CheckoutError::Connect(_))))
        })
        .await;
        ended.set(true);
    };
    let accepting = async {
        while !ended.get() {
            if let Ok(accepted) = tokio::time::timeout(Duration::from_millis(20), listener.accept()).await {
                taken.push(accepted.unwrap());
            }
        }
    };
    tokio::join!(crowd, accepting);
    assert_eq!(taken.len(), 2, "twenty at once, and one of them tried");
}

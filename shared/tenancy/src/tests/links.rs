//! Servers that go away and come back.

use sea_orm::Statement;

use super::proxy::Proxy;
use super::support::{Databases, Request, eventually, pools_of};
use crate::{CheckoutError, Endpoint, Placement, TenancyError, TenantConnection};

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

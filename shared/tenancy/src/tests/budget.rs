//! Many databases, few connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement};

use super::support::{Databases, Request, pools_of};

const BUDGET: u32 = 5;

/// 200 tasks over 40 databases through 5 connections, while `count` asks the
/// server itself how many there are.
pub(super) async fn crowd<C>(databases: Databases, count: C)
where
    C: AsyncFn(&Databases) -> i64,
{
    let pools = pools_of(BUDGET);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..200 {
        let request = Request::to(&pools, &databases.placements[n * 7 % databases.placements.len()]);
        tasks.spawn(async move {
            let db = request.db();
            let connection = db.read().await.unwrap();
            let backend = connection.get_database_backend();
            connection.query_one_raw(Statement::from_string(backend, "SELECT 1")).await.unwrap();
            match n % 10 {
                // Some leave in the middle, some are sloppy.
                0 => {
                    let statement = connection.execute_unprepared("SELECT 2");
                    let _ = tokio::time::timeout(Duration::ZERO, statement).await;
                }
                1 => drop(connection.execute_unprepared("BEGIN").await),
                _ => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        });
    }
    let most = Arc::new(AtomicI64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let watching = async {
        while !done.load(Ordering::Acquire) {
            let stats = pools.stats();
            assert!(stats.open <= BUDGET && stats.in_use + stats.idle <= stats.open, "{stats:?}");
            most.fetch_max(count(&databases).await, Ordering::AcqRel);
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    };
    let working = async {
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        done.store(true, Ordering::Release);
    };
    tokio::join!(watching, working);

    let most = most.load(Ordering::Acquire);
    assert!(most <= i64::from(BUDGET), "the server saw {most} connections");
    let stats = pools.stats();
    assert_eq!((stats.in_use, stats.waiting), (0, 0), "{stats:?}");
    assert!(stats.evictions > 0, "{stats:?}");
    pools.close_all().await;
    assert_eq!(pools.stats().open, 0);
    eprintln!("most at once {most}, {stats:?}");
}

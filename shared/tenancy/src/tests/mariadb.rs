use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use sqlx::{Connection, MySqlConnection, Row};

use super::support::{Databases, Request, pools_of};
use super::{budget, cases, links};

#[tokio::test]
async fn crud() {
    cases::crud(Databases::mariadb(1).await).await;
}

#[tokio::test]
async fn transactions() {
    cases::transactions(Databases::mariadb(1).await).await;
}

#[tokio::test]
async fn closures() {
    cases::closures(Databases::mariadb(1).await).await;
}

#[tokio::test]
async fn deadlock() {
    cases::deadlock(Databases::mariadb(1).await).await;
}

#[tokio::test]
async fn exhaustion() {
    cases::exhaustion(Databases::mariadb(1).await).await;
}

#[tokio::test]
async fn cleanliness() {
    cases::cleanliness(Databases::mariadb(1).await).await;
}

#[tokio::test]
async fn generations() {
    cases::generations(Databases::mariadb(1).await).await;
}

#[tokio::test]
async fn endings() {
    cases::endings(Databases::mariadb(1).await).await;
}

#[tokio::test]
async fn server_gone_and_back() {
    links::server_gone_and_back(Databases::mariadb(1).await).await;
}

#[tokio::test]
async fn dead_idle_connections() {
    links::dead_idle_connections(Databases::mariadb(1).await).await;
}

#[tokio::test]
async fn refusals() {
    links::refusals(Databases::mariadb(1).await).await;
}

#[tokio::test]
async fn a_broken_server_is_left_alone() {
    links::a_broken_server_is_left_alone(Databases::mariadb(1).await).await;
}

#[tokio::test]
async fn a_tenants_own_failures_break_nothing() {
    links::a_tenants_own_failures_break_nothing(Databases::mariadb(1).await).await;
}

#[tokio::test]
async fn one_at_a_time_tries_a_silent_server() {
    links::one_at_a_time_tries_a_silent_server(Databases::mariadb(1).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn budget_is_never_exceeded() {
    let databases = Databases::mariadb(40).await;
    let admin = databases.admin.clone().unwrap();
    let connection = tokio::sync::Mutex::new(MySqlConnection::connect(admin.as_str()).await.unwrap());
    budget::crowd(databases, async |databases| {
        sqlx::query("SELECT count(*) FROM information_schema.processlist WHERE db LIKE concat(?, '%')")
            .bind(&databases.prefix)
            .fetch_one(&mut *connection.lock().await)
            .await
            .unwrap()
            .get(0)
    })
    .await;
}

#[tokio::test]
async fn the_session_is_set_up() {
    let databases = Databases::mariadb(1).await;
    let pools = pools_of(1);
    let request = Request::to(&pools, databases.first());
    let db = request.db();
    let connection = db.read().await.unwrap();
    let sql = "SELECT @@sql_mode AS mode, @@time_zone AS zone, @@character_set_client AS charset";
    let row = connection.query_one_raw(Statement::from_string(DbBackend::MySql, sql)).await.unwrap().unwrap();
    assert!(row.try_get::<String>("", "mode").unwrap().contains("STRICT_ALL_TABLES"));
    assert_eq!(row.try_get::<String>("", "zone").unwrap(), "+00:00");
    assert_eq!(row.try_get::<String>("", "charset").unwrap(), "utf8mb4");
}

/// A cancelled statement's connection keeps its place until the statement ends.
#[tokio::test]
async fn a_cancelled_statement_costs_its_connection() {
    let databases = Databases::mariadb(1).await;
    let pools = pools_of(1);
    let request = Request::to(&pools, databases.first());
    let db = request.db();
    let connection = db.read().await.unwrap();
    let before = Instant::now();
    let sleep = Statement::from_string(DbBackend::MySql, "SELECT SLEEP(1)");
    tokio::time::timeout(Duration::from_millis(50), connection.query_one_raw(sleep)).await.unwrap_err();
    drop(connection);
    assert_eq!((pools.stats().open, pools.stats().in_use), (1, 0));
    drop(db.read().await.unwrap());
    assert!((900..30_000).contains(&before.elapsed().as_millis()), "{:?}", before.elapsed());
    assert_eq!(pools.stats().connects, 2);
}

//! Seeds, and two sets beside each other.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;
use sea_orm_migration::prelude::*;
use tenantry_migration::{Rollback, Seed, Seeder, SetBuilder, migrate, rollback, seed};
use uuid::Uuid;

use crate::{
    fixtures::*,
    support::{Server, TestDb},
};

/// Fixed rows with the types whose text differs between engines.
struct Colours;

const RED: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);

impl Seeder for Colours {
    fn name(&self) -> &'static str {
        "colours"
    }

    fn seeds(&self) -> Vec<Seed> {
        let mut insert = Query::insert().into_table("colours").columns(["id", "name", "made_at"]).to_owned();
        insert.values_panic([RED.into(), "it's \\ red".into(), Seed::epoch().into()]);
        vec![Seed::new(insert, "id")]
    }
}

pub(crate) async fn seeding_twice_changes_nothing(test: TestDb) {
    let db = test.connect().await;
    let (uuid, time) = match test.server {
        Server::Postgres => ("uuid", "timestamptz"),
        Server::MariaDb => ("binary(16)", "datetime(6)"),
        Server::Sqlite => ("uuid_text", "timestamp_with_timezone_text"),
    };
    let table = format!("CREATE TABLE colours (id {uuid} NOT NULL PRIMARY KEY, name varchar(20), made_at {time})");
    let colours = sql("m20260101_000000_colours", &[&table], &["DROP TABLE colours"]);
    let set = SetBuilder::new("tenant").add(colours).seeder(Colours).build().unwrap();
    migrate(&db, &set, None, &run_at(0)).await.unwrap();

    seed(&db, &set).await.unwrap();
    let edit = Query::update().table("colours").value("name", "it's \\ mine").to_owned();
    db.execute(&edit).await.unwrap();
    seed(&db, &set).await.unwrap();

    // Found by the value as the driver binds it, and read back by the driver: the text stored what it stores.
    let find =
        Query::select().columns(["name", "made_at"]).from("colours").and_where(Expr::col("id").eq(RED)).to_owned();
    let row = db.query_one(&find).await.unwrap().expect("the seeded row");
    assert_eq!(row.try_get::<String>("", "name").unwrap(), "it's \\ mine", "an edited row stays");
    assert_eq!(row.try_get::<DateTime<Utc>>("", "made_at").unwrap(), Seed::epoch());
}

pub(crate) async fn two_sets_share_one_ledger(test: TestDb) {
    let db = test.connect().await;
    let shared = sql("m20260101_000000_keys", &["CREATE TABLE keys_of_both (id int)"], &["DROP TABLE keys_of_both"]);
    let tenant = SetBuilder::new("tenant").add(people()).add_both([shared.into()]).build().unwrap();
    let plugin = SetBuilder::new("plugin_roads").add(roads()).build().unwrap();
    migrate(&db, &tenant, None, &run_at(0)).await.unwrap();
    migrate(&db, &plugin, None, &run_at(1)).await.unwrap();
    rollback(&db, &tenant, Rollback::All, &run_at(2)).await.unwrap();
    assert_eq!(versions(&db, &plugin).await, [ROADS]);
    assert!(exists(&db, "roads").await && !exists(&db, "people").await);
}

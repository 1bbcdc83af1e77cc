//! What holds on every engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, Schema, SqlErr,
};
use tenantry_ids::{PersonId, SystemIds};

use super::support::{Databases, Request, eventually, pools, pools_of};
use crate::{CheckoutError, PoolConfig, Retryable, TenancyError, TenantConnection, TxOptions};

#[allow(unreachable_pub, reason = "SeaORM's derives want public items")]
pub(super) mod note {
    use sea_orm::entity::prelude::*;

    /// A column of every kind that behaves differently on some engine.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "note")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        #[sea_orm(unique)]
        pub title: String,
        pub body: Option<String>,
        pub done: bool,
        pub amount: i64,
        pub data: Vec<u8>,
        pub meta: Json,
        pub created_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// As a store would write it.
async fn insert(connection: &impl TenantConnection, title: &str) -> Result<note::Model, DbErr> {
    let id = PersonId::new(&SystemIds).0;
    note::ActiveModel {
        id: Set(id),
        title: Set(title.to_owned()),
        body: Set(None),
        done: Set(true),
        amount: Set(-5),
        data: Set(vec![0, 159, 146, 150]),
        meta: Set(serde_json::json!({"a": [1, null, "ü"]})),
        created_at: Set(DateTime::<Utc>::from_timestamp(1_800_000_000, 0).unwrap()),
    }
    .insert(connection)
    .await
}

async fn count(connection: &impl TenantConnection) -> u64 {
    note::Entity::find().count(connection).await.unwrap()
}

async fn create_table(databases: &Databases) {
    let pools = pools_of(1);
    let request = Request::to(&pools, databases.first());
    let db = request.db();
    let connection = db.read().await.unwrap();
    let table = Schema::new(connection.get_database_backend()).create_table_from_entity(note::Entity);
    connection.execute(&table).await.unwrap();
    drop(connection);
    pools.close_all().await;
}

pub(super) async fn crud(databases: Databases) {
    create_table(&databases).await;
    let pools = pools_of(2);
    let request = Request::to(&pools, databases.first());
    let db = request.db();
    assert_eq!(db.tenant(), databases.first().tenant);

    let connection = db.read().await.unwrap();
    let made = insert(&connection, "one").await.unwrap();
    let found = note::Entity::find_by_id(made.id).one(&connection).await.unwrap().unwrap();
    assert_eq!(found, made);
    assert_eq!((found.body.as_deref(), found.done, found.data.as_slice()), (None, true, &[0, 159, 146, 150][..]));
    assert_eq!(found.meta["a"][2], "ü");
    assert_eq!(found.created_at.timestamp(), 1_800_000_000);

    let mut changed = found.into_active_model();
    changed.body = Set(Some("text".to_owned()));
    changed.done = Set(false);
    let changed = changed.update(&connection).await.unwrap();
    assert_eq!((changed.body.as_deref(), changed.done), (Some("text"), false));

    insert(&connection, "two").await.unwrap();
    let titles: Vec<_> = note::Entity::find()
        .filter(note::Column::Amount.lt(0))
        .order_by_desc(note::Column::Title)
        .all(&connection)
        .await
        .unwrap()
        .into_iter()
        .map(|note| note.title)
        .collect();
    assert_eq!(titles, ["two", "one"]);
    assert_eq!(note::Entity::find().filter(note::Column::Title.eq("none")).one(&connection).await.unwrap(), None);

    let gone = note::Entity::delete_by_id(made.id).exec(&connection).await.unwrap();
    assert_eq!(gone.rows_affected, 1);
    assert_eq!(count(&connection).await, 1);

    let twice = insert(&connection, "two").await.unwrap_err();
    assert!(matches!(twice.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))), "{twice:?}");
    assert_eq!(count(&connection).await, 1);
}

pub(super) async fn transactions(databases: Databases) {
    create_table(&databases).await;
    let pools = pools_of(2);
    let request = Request::to(&pools, databases.first());
    let db = request.db();

    let tx = db.begin().await.unwrap();
    insert(&tx, "kept").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(&db.read().await.unwrap()).await, 1);
    assert_eq!(pools.stats().connects, 1, "a commit gives the connection back");

    let tx = db.begin().await.unwrap();
    insert(&tx, "undone").await.unwrap();
    assert_eq!(count(&tx).await, 2);
    tx.rollback().await.unwrap();
    assert_eq!(count(&db.read().await.unwrap()).await, 1);
    assert_eq!(pools.stats().connects, 1, "so does a rollback");

    let tx = db.begin().await.unwrap();
    insert(&tx, "dropped").await.unwrap();
    drop(tx);
    assert_eq!(count(&db.read().await.unwrap()).await, 1);
    assert_eq!(pools.stats().connects, 2, "an open transaction's connection is thrown away");

    let tx = db.begin().await.unwrap();
    insert(&tx, "before the failure").await.unwrap();
    insert(&tx, "kept").await.unwrap_err();
    insert(&tx, "after the failure").await.unwrap_err();
    assert!(matches!(tx.commit().await, Err(TenancyError::Aborted)));
    assert_eq!(count(&db.read().await.unwrap()).await, 1);
}

/// An application's error, as the closure of a transaction returns it.
#[derive(Debug)]
pub(super) enum Refused {
    Tenancy(TenancyError),
    Rule,
    Collision,
}

impl From<TenancyError> for Refused {
    fn from(error: TenancyError) -> Self {
        Self::Tenancy(error)
    }
}

impl From<DbErr> for Refused {
    fn from(error: DbErr) -> Self {
        Self::Tenancy(error.into())
    }
}

impl Retryable for Refused {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Tenancy(error) => error.is_retryable(),
            Self::Rule => false,
            Self::Collision => true,
        }
    }
}

/// The closure's road: committed, undone, tried again; in a future that a
/// server can spawn.
pub(super) async fn closures(databases: Databases) {
    create_table(&databases).await;
    let pools = pools_of(2);
    let request = Request::to(&pools, databases.first());
    let task = tokio::spawn(async move {
        let db = request.db();
        let title = &"kept".to_owned();
        let made = db.transaction(|tx| async move { Ok::<_, Refused>(insert(&tx, title).await?) }).await.unwrap();
        assert_eq!(made.title, "kept");

        let refused = db
            .transaction(|tx| async move {
                insert(&tx, "undone").await?;
                Err::<(), _>(Refused::Rule)
            })
            .await;
        assert!(matches!(refused, Err(Refused::Rule)));

        let attempts = &AtomicU32::new(0);
        db.transaction(|tx| async move {
            insert(&tx, "once").await?;
            match attempts.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => Err(Refused::Collision),
                _ => Ok(()),
            }
        })
        .await
        .unwrap();
        assert_eq!(attempts.load(Ordering::Relaxed), 3);

        let attempts = &AtomicU32::new(0);
        let options = TxOptions { attempts: 2, ..TxOptions::default() };
        let collided = db
            .transaction_with(options, |_| async move {
                attempts.fetch_add(1, Ordering::Relaxed);
                Err::<(), _>(Refused::Collision)
            })
            .await;
        assert!(matches!(collided, Err(Refused::Collision)));
        assert_eq!(attempts.load(Ordering::Relaxed), 2);
        assert_eq!(count(&db.read().await.unwrap()).await, 2);
    });
    task.await.unwrap();
}

/// Two transactions take two rows in opposite order: the server picks a loser,
/// which runs again, and both happen.
pub(super) async fn deadlock(databases: Databases) {
    create_table(&databases).await;
    let pools = pools_of(4);
    let request = Request::to(&pools, databases.first());
    for title in ["a", "b"] {
        insert(&request.db().read().await.unwrap(), title).await.unwrap();
    }
    let both_hold_one = Arc::new(tokio::sync::Barrier::new(2));
    let attempts = Arc::new(AtomicU32::new(0));
    let tasks = [["a", "b"], ["b", "a"]].map(|order| {
        let request = Request::to(&pools, databases.first());
        let (barrier, attempts) = (Arc::clone(&both_hold_one), Arc::clone(&attempts));
        tokio::spawn(async move {
            let (barrier, attempts, order) = (&barrier, &attempts, &order);
            request
                .db()
                .transaction(|tx| async move {
                    let first = attempts.fetch_add(1, Ordering::Relaxed) < 2;
                    add_one(&tx, order[0]).await?;
                    if first {
                        barrier.wait().await;
                    }
                    add_one(&tx, order[1]).await?;
                    Ok::<_, Refused>(())
                })
                .await
                .unwrap();
        })
    });
    for task in tasks {
        task.await.unwrap();
    }
    assert!(attempts.load(Ordering::Relaxed) > 2, "nothing collided");
    let amounts: Vec<_> = note::Entity::find().all(&request.db().read().await.unwrap()).await.unwrap();
    assert!(amounts.iter().all(|note| note.amount == -3), "{amounts:?}");
}

pub(super) async fn add_one(connection: &impl TenantConnection, title: &str) -> Result<(), DbErr> {
    use sea_orm::sea_query::{Expr, ExprTrait};
    note::Entity::update_many()
        .col_expr(note::Column::Amount, Expr::col(note::Column::Amount).add(1))
        .filter(note::Column::Title.eq(title))
        .exec(connection)
        .await
        .map(|_| ())
}

/// A table with one row of that title.
pub(super) async fn one_note(databases: &Databases, title: &str) {
    create_table(databases).await;
    let pools = pools_of(1);
    let request = Request::to(&pools, databases.first());
    insert(&request.db().read().await.unwrap(), title).await.unwrap();
    pools.close_all().await;
}

pub(super) async fn amount(connection: &impl TenantConnection, title: &str) -> i64 {
    let found = note::Entity::find().filter(note::Column::Title.eq(title)).one(connection).await.unwrap();
    found.unwrap().amount
}

/// Waiting ends at the deadline, and what is free later is found again.
pub(super) async fn exhaustion(databases: Databases) {
    let pools = pools_of(1);
    let request = Request::to(&pools, databases.first());
    let db = request.db();
    let held = db.read().await.unwrap();

    let hurried = Request::with_deadline(&pools, databases.first(), Duration::from_millis(50));
    let before = std::time::Instant::now();
    let refused = hurried.db().read().await.map(|_| ());
    assert!(matches!(refused, Err(TenancyError::Checkout(CheckoutError::Exhausted))), "{refused:?}");
    assert!((50..30_000).contains(&before.elapsed().as_millis()), "{:?}", before.elapsed());
    let late = hurried.db().read().await.map(|_| ());
    assert!(matches!(late, Err(TenancyError::Checkout(CheckoutError::DeadlinePassed))), "{late:?}");

    drop(held);
    drop(db.read().await.unwrap());
    assert_eq!((pools.stats().connects, pools.stats().waiting, pools.stats().in_use), (1, 0, 0));
    assert_eq!((pools.stats().limit, pools.stats().timeouts, pools.stats().failures), (1, 1, 0));
}

/// Only what is known to be clean is used again.
pub(super) async fn cleanliness(databases: Databases) {
    create_table(&databases).await;
    let pools = pools_of(1);
    let request = Request::to(&pools, databases.first());
    let db = request.db();
    let connects = || pools.stats().connects;

    drop(db.read().await.unwrap());
    insert(&db.read().await.unwrap(), "one").await.unwrap();
    assert_eq!(connects(), 1);
    insert(&db.read().await.unwrap(), "one").await.unwrap_err();
    drop(db.read().await.unwrap());
    assert_eq!(connects(), 2, "after an error");
    db.read().await.unwrap().execute_unprepared("BEGIN").await.unwrap();
    drop(db.read().await.unwrap());
    assert_eq!(connects(), 3, "after text that may change the session");
}

/// Connections of an older generation are closed, idle or in use.
pub(super) async fn generations(databases: Databases) {
    let pools = pools_of(3);
    let old = databases.first().clone();
    let new = crate::Placement { generation: 2, ..old.clone() };
    let (before, after) = (Request::to(&pools, &old), Request::to(&pools, &new));

    let (first, second) = (before.db(), before.db());
    let (idle, in_use) = (first.read().await.unwrap(), second.read().await.unwrap());
    drop(idle);
    assert_eq!(pools.stats().idle, 1);

    drop(after.db().read().await.unwrap());
    drop(in_use);
    eventually("only the new generation's connection is left", async || {
        (pools.stats().open, pools.stats().idle, pools.stats().connects) == (1, 1, 3)
    })
    .await;
}

/// A request's end ends every copy of its access, and the pools' end all.
pub(super) async fn endings(databases: Databases) {
    let pools = pools(PoolConfig { idle_timeout_s: 1, ..PoolConfig::default() });
    let Request { extensions, guard } = Request::to(&pools, databases.first());
    let kept = extensions.clone();
    let db = crate::TenantDb::from_extensions(&kept).unwrap();
    drop(db.read().await.unwrap());
    drop((extensions, guard));
    let ended = db.read().await.map(|_| ());
    assert!(matches!(ended, Err(TenancyError::RequestEnded)), "{ended:?}");

    eventually("the idle timeout closes", async || pools.stats().open == 0).await;

    let request = Request::to(&pools, databases.first());
    let db = request.db();
    let held = db.read().await.unwrap();
    let closing = tokio::spawn({
        let pools = Arc::clone(&pools);
        async move { pools.close_all().await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!closing.is_finished(), "a connection is in use");
    let refused = request.db().read().await.map(|_| ());
    assert!(matches!(refused, Err(TenancyError::Checkout(CheckoutError::Closed))), "{refused:?}");
    drop(held);
    closing.await.unwrap();
    assert_eq!(pools.stats().open, 0);
}

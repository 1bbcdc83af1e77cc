//! A database of its own per test, on each engine; `services/migrator/tests` uses it as well.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::{future::Future, path::PathBuf};

use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use tenantry_migration::{CatalogueObject, CatalogueOptions, Run, catalogue};
use uuid::Uuid;

/// Makes `sqlite::`, `postgres::` and `mariadb::` tests of each `async fn(TestDb)`.
#[macro_export]
macro_rules! on_every_engine {
    ($($(#[$attribute:meta])* $test:ident),+ $(,)?) => {
        $crate::on_every_engine!(@engine sqlite Sqlite $($(#[$attribute])* $test),+);
        $crate::on_every_engine!(@engine postgres Postgres $($(#[$attribute])* $test),+);
        $crate::on_every_engine!(@engine mariadb MariaDb $($(#[$attribute])* $test),+);
    };
    (@engine $module:ident $engine:ident $($(#[$attribute:meta])* $test:ident),+) => {
        mod $module {
            $($(#[$attribute])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                $crate::support::with_database($crate::support::Server::$engine, super::$test).await;
            })+
        }
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Sqlite,
    Postgres,
    MariaDb,
}

/// One empty database.
#[derive(Clone, Debug)]
pub(crate) struct TestDb {
    pub(crate) server: Server,
    url: String,
}

impl TestDb {
    /// Another session of its own: a pool of one connection.
    pub(crate) async fn connect(&self) -> DatabaseConnection {
        connect(&self.url).await
    }

    /// A session of PostgreSQL's driver itself, as a run begins one.
    pub(crate) async fn connect_driver(&self, run: &Run) -> Option<PgConnection> {
        match self.server {
            Server::Postgres => {
                let options: PgConnectOptions = self.url.parse().expect("an address");
                Some(
                    options
                        .application_name(&run.session_name())
                        .options(run.session_limits())
                        .connect()
                        .await
                        .expect("a connection"),
                )
            }
            Server::Sqlite | Server::MariaDb => None,
        }
    }

    /// A pool as the services use it, which migrations must refuse where they lock a session.
    pub(crate) async fn connect_pool(&self) -> DatabaseConnection {
        Database::connect(ConnectOptions::new(&self.url)).await.expect("a pool")
    }
}

/// Everything that the database consists of.
pub(crate) async fn catalogue_of(db: &DatabaseConnection) -> Vec<CatalogueObject> {
    catalogue(db, CatalogueOptions::default()).await.expect("a catalogue")
}

/// Creates a database, runs the test in a task of its own, and drops the database even when the test panicked.
pub(crate) async fn with_database<F, Fut>(server: Server, test: F)
where
    F: FnOnce(TestDb) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let scratch = Scratch::create(server).await;
    let outcome = tokio::spawn(test(scratch.database())).await;
    scratch.drop_database().await;
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure.into_panic());
    }
}

enum Scratch {
    File(PathBuf),
    Database { server: Server, admin: String, name: String },
}

impl Scratch {
    async fn create(server: Server) -> Self {
        let name = format!("tt_{}", Uuid::now_v7().simple());
        let admin = match server {
            Server::Sqlite => {
                let folder = std::env::temp_dir().join(name);
                std::fs::create_dir(&folder).expect("a folder for the test");
                return Self::File(folder);
            }
            Server::Postgres => admin_url("TENANTRY_TEST_POSTGRES_URL"),
            Server::MariaDb => admin_url("TENANTRY_TEST_MARIADB_URL"),
        };
        run(&admin, &format!("CREATE DATABASE {name}")).await;
        Self::Database { server, admin, name }
    }

    fn database(&self) -> TestDb {
        match self {
            Self::File(folder) => {
                let url = format!("sqlite://{}?mode=rwc", folder.join("test.db").display());
                TestDb { server: Server::Sqlite, url }
            }
            Self::Database { server, admin, name } => TestDb { server: *server, url: with_name(admin, name) },
        }
    }

    async fn drop_database(self) {
        match self {
            Self::File(folder) => std::fs::remove_dir_all(folder).expect("the test's folder removed"),
            Self::Database { server, admin, name } => {
                let force = if server == Server::Postgres { " WITH (FORCE)" } else { "" };
                run(&admin, &format!("DROP DATABASE {name}{force}")).await;
            }
        }
    }
}

/// A test that cannot reach its engine fails: a skipped one would say that the engine works.
fn admin_url(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run through `cargo xtask test`"))
}

fn with_name(admin: &str, name: &str) -> String {
    let (base, query) = admin.split_once('?').map_or((admin, None), |(base, query)| (base, Some(query)));
    let authority = base.find("://").map_or(0, |at| at + 3);
    let end = base[authority..].find('/').map_or(base.len(), |at| authority + at);
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    format!("{}/{name}{query}", &base[..end])
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).min_connections(0).sqlx_logging(false);
    Database::connect(options).await.expect("a connection")
}

async fn run(url: &str, sql: &str) {
    let db = connect(url).await;
    db.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    db.close().await.expect("closed");
}

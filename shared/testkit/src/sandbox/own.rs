//! A service's own database, as a test reaches it without the service.

use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

/// Its URL.
pub(super) struct OwnDatabase(pub(super) String);

/// The same on every engine.
macro_rules! on_engine {
    ($url:expr, $connection:ident => $work:expr) => {
        match $url.split(':').next() {
            Some("sqlite") => {
                let mut $connection = SqliteConnection::connect($url).await?;
                $work
            }
            Some("mysql") => {
                let mut $connection = MySqlConnection::connect($url).await?;
                $work
            }
            _ => {
                let mut $connection = PgConnection::connect($url).await?;
                $work
            }
        }
    };
}

impl OwnDatabase {
    pub(super) async fn run(&self, sql: &str) -> anyhow::Result<()> {
        on_engine!(&self.0, connection => {
            connection.execute(AssertSqlSafe(sql.to_owned())).await?;
            Ok(connection.close().await?)
        })
    }

    pub(super) async fn texts(&self, sql: &str) -> anyhow::Result<Vec<String>> {
        on_engine!(&self.0, connection => {
            let rows = connection.fetch_all(AssertSqlSafe(sql.to_owned())).await?;
            connection.close().await?;
            Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
        })
    }
}

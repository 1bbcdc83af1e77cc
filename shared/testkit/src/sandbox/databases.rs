//! A sandbox's databases on a server, told apart by a prefix of their own.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};
use tenantry::{Databases, Server};
use tenantry_ids::{IdSource, SystemIds};
use tokio::time::timeout;
use url::Url;

/// How long a statement may take. A bound for what hangs, no measure of speed.
const LONGEST_STATEMENT: Duration = Duration::from_secs(300);
/// The name that the catalog and the migrator know the server by.
const SERVER: &str = "main";

/// An engine that the suite runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Files in the sandbox's folder.
    Sqlite,
    /// The suite's PostgreSQL.
    Postgres,
    /// The newest major version of PostgreSQL that the suite has.
    NewestPostgres,
    /// The suite's MariaDB.
    MariaDb,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::NewestPostgres => "postgres_18",
            Self::MariaDb => "mariadb",
        })
    }
}

/// Databases on a server, all named with one prefix.
#[derive(Debug, Clone)]
pub struct OnServer {
    admin: Url,
    prefix: String,
    /// A second server, of another engine, under the same prefix; with it comes a folder of files.
    beside: Option<Box<OnServer>>,
    /// Of the databases that are made there, where it is not the default.
    collation: Option<&'static str>,
}

impl OnServer {
    /// On the suite's server of this engine; `None` for SQLite.
    pub fn of_suite(engine: Engine) -> anyhow::Result<Option<Self>> {
        let variable = match engine {
            Engine::Sqlite => return Ok(None),
            Engine::Postgres => "TENANTRY_TEST_POSTGRES_URL",
            Engine::NewestPostgres => "TENANTRY_TEST_NEWEST_POSTGRES_URL",
            Engine::MariaDb => "TENANTRY_TEST_MARIADB_URL",
        };
        #[allow(clippy::disallowed_methods)] // Tests have no command line; the suite speaks by environment.
        let url = std::env::var(variable)
            .with_context(|| format!("{variable} is not set: run through `cargo xtask test`"))?;
        Self::at(&url).map(Some)
    }

    /// On the suite's PostgreSQL, with its MariaDB and a folder of files beside it.
    pub fn of_all() -> anyhow::Result<Option<Self>> {
        let (first, second) = (Self::of_suite(Engine::Postgres)?, Self::of_suite(Engine::MariaDb)?);
        Ok(first.zip(second).map(|(first, second)| {
            let second = Self { prefix: first.prefix.clone(), ..second };
            Self { beside: Some(Box::new(second)), ..first }
        }))
    }

    /// On the server with this administrative URL.
    pub fn at(admin_url: &str) -> anyhow::Result<Self> {
        // Six characters are all that a prefix may have.
        let tag = SystemIds.uuid().as_u128() ^ u128::from(std::process::id());
        let letter = |shift: u32| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[(tag >> shift) as usize & 31]);
        let prefix = format!("x{}{}{}{}_", letter(0), letter(5), letter(10), letter(15));
        Ok(Self { admin: admin_url.parse()?, prefix, beside: None, collation: None })
    }

    /// The same, where the databases that are made have this collation.
    #[must_use]
    pub fn with_collation(self, collation: &'static str) -> Self {
        Self { collation: Some(collation), ..self }
    }

    /// What the names of these databases begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The server's administrative URL.
    pub fn admin_url(&self) -> String {
        self.admin.to_string()
    }

    /// The administrative URL of a database on the server.
    pub fn url_of(&self, database: &str) -> String {
        let mut url = self.admin.clone();
        url.set_path(database);
        url.into()
    }

    /// The server's address without credentials.
    pub fn public_url(&self) -> String {
        let (scheme, host, port) = (self.admin.scheme(), self.admin.host_str().unwrap_or_default(), self.admin.port());
        format!("{scheme}://{host}:{}", port.unwrap_or_default())
    }

    /// The central database's name.
    pub fn central(&self) -> String {
        format!("{}central", self.prefix)
    }

    /// The migrator's own database's name.
    pub fn migrators(&self) -> String {
        format!("{}migrator", self.prefix)
    }

    pub(super) fn plan(&self, folder: &Path) -> Databases {
        let mut servers = vec![self.server(SERVER)];
        if let Some(second) = &self.beside {
            let files = format!("sqlite:{}", folder.join("files").display());
            servers.push(second.server("mariadb"));
            servers.push(Server { name: "sqlite".to_owned(), public_url: files.clone(), admin_url: files });
        }
        Databases::Servers {
            central_url: self.url_of(&self.central()),
            migrator_url: self.url_of(&self.migrators()),
            servers,
            prefix: self.prefix.clone(),
        }
    }

    /// The databases with the prefix that are companies', from the server itself.
    pub async fn tenant_databases(&self) -> anyhow::Result<Vec<String>> {
        let own = [self.central(), self.migrators()];
        let template = format!("{}template", self.prefix);
        let mut names = self.names("databases").await?;
        names.retain(|name| !own.contains(name) && !name.starts_with(&template));
        Ok(names)
    }

    /// The login roles of companies, from the server itself.
    pub async fn tenant_roles(&self) -> anyhow::Result<Vec<String>> {
        let shared = ["owner", "tenants"].map(|name| format!("{}{name}", self.prefix));
        let mut names = self.names("roles").await?;
        names.retain(|name| !shared.contains(name));
        Ok(names)
    }

    fn server(&self, name: &str) -> Server {
        let mut admin_url = self.admin.clone();
        if let Some(collation) = self.collation {
            admin_url.query_pairs_mut().append_pair("collation", collation);
        }
        Server { name: name.to_owned(), public_url: self.public_url(), admin_url: admin_url.into() }
    }

    /// Drops every database and role with the prefix.
    pub async fn drop_all(&self) -> anyhow::Result<()> {
        if let Some(second) = &self.beside {
            Box::pin(second.drop_all()).await?;
        }
        for name in self.names("databases").await? {
            let dropped = self.drop_database(&name).await.with_context(|| format!("dropping {name}"));
            // A rehearsal that was cut short cleans up behind itself, perhaps at this moment.
            if dropped.is_err() && self.names("databases").await?.contains(&name) {
                dropped?;
            }
        }
        for name in self.names("roles").await? {
            self.drop_role(&name).await.with_context(|| format!("dropping the role {name}"))?;
        }
        Ok(())
    }

    /// The roles with the prefix, from the server itself.
    pub async fn roles(&self) -> anyhow::Result<Vec<String>> {
        self.names("roles").await
    }

    async fn names(&self, of: &str) -> anyhow::Result<Vec<String>> {
        let prefix = format!("{}%", self.prefix.replace('_', "\\_"));
        let postgres = match of {
            "databases" => "SELECT datname::text FROM pg_database WHERE datname LIKE $1",
            _ => "SELECT rolname::text FROM pg_roles WHERE rolname LIKE $1",
        };
        let mariadb = match of {
            "databases" => {
                "SELECT CONVERT(schema_name USING utf8mb4) FROM information_schema.schemata WHERE schema_name LIKE ?"
            }
            _ => "SELECT CONVERT(user USING utf8mb4) FROM mysql.user WHERE user LIKE ?",
        };
        if self.is_postgres() {
            let mut admin = PgConnection::connect(self.admin.as_str()).await?;
            let rows = sqlx::query(postgres).bind(prefix).fetch_all(&mut admin).await?;
            admin.close().await?;
            Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
        } else {
            let mut admin = MySqlConnection::connect(self.admin.as_str()).await?;
            let rows = sqlx::query(mariadb).bind(prefix).fetch_all(&mut admin).await?;
            admin.close().await?;
            Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
        }
    }

    /// Drops one database, whoever is in it.
    pub async fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        if self.is_postgres() {
            self.run(&format!("ALTER DATABASE \"{name}\" IS_TEMPLATE false")).await?;
            // FORCE refuses while an autovacuum worker is there, which no administrator may end; the plain command asks
            // the worker to leave, and waits.
            match self.run(&format!("DROP DATABASE \"{name}\" WITH (FORCE)")).await {
                Ok(()) => Ok(()),
                Err(_) => self.run(&format!("DROP DATABASE \"{name}\"")).await,
            }
        } else {
            self.run(&format!("DROP DATABASE `{name}`")).await
        }
    }

    async fn drop_role(&self, name: &str) -> anyhow::Result<()> {
        if self.is_postgres() {
            self.run(&format!("DROP ROLE \"{name}\"")).await
        } else {
            self.run(&format!("DROP USER '{name}'@'%'")).await
        }
    }

    fn is_postgres(&self) -> bool {
        self.admin.scheme().starts_with("postgres")
    }

    /// Runs one statement as the server's administrator.
    pub async fn run(&self, sql: &str) -> anyhow::Result<()> {
        self.run_at(self.admin.as_str(), sql).await
    }

    /// Runs one statement in one database, as the server's administrator.
    pub async fn run_in(&self, database: &str, sql: &str) -> anyhow::Result<()> {
        self.run_at(&self.url_of(database), sql).await
    }

    async fn run_at(&self, url: &str, sql: &str) -> anyhow::Result<()> {
        let run = async {
            match self.admin.scheme() {
                "postgres" | "postgresql" => {
                    let mut admin = PgConnection::connect(url).await?;
                    admin.execute(AssertSqlSafe(sql.to_owned())).await?;
                    Ok(admin.close().await?)
                }
                "mysql" => {
                    let mut admin = MySqlConnection::connect(url).await?;
                    admin.execute(AssertSqlSafe(sql.to_owned())).await?;
                    Ok(admin.close().await?)
                }
                scheme => bail!("no engine {scheme:?}"),
            }
        };
        timeout(LONGEST_STATEMENT, run).await.with_context(|| format!("{sql} does not end"))?
    }
}

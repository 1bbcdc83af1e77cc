//! The catalog's configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use tenantry_rpc::auth::ServiceKeyFiles;
use tenantry_rpc::server::{Mode, ServerConfig};
use url::Url;

use crate::app::changes::WatchSettings;
use crate::app::event_log::EventSettings;
use crate::app::hooks::HookConfig;
use crate::app::issuers::IssuerSettings;
use crate::app::keys::KeySettings;
use crate::app::provisioning::WorkerSettings;
use crate::app::sessions::SessionSettings;
use crate::app::throttle::ThrottleSettings;
use crate::secrets::{PasswordConfig, SealingConfig};
use crate::store::CentralConfig;

/// Everything `catalog serve` can be told.
#[derive(Debug, Clone, Args)]
pub struct CatalogConfig {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerConfig,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub central: CentralConfig,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub sealing: SealingConfig,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub identity: ServiceKeyFiles,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub passwords: PasswordConfig,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub provisioning: WorkerSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub watching: WatchSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub events: EventSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub keys: KeySettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub sessions: SessionSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub throttle: ThrottleSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub issuers: IssuerSettings,

    /// The address of the migrator; of several replicas with commas between them, and each that its name has takes its
    /// turn.
    #[arg(long, env = "CATALOG_MIGRATOR_ADDRESS", default_value = "http://127.0.0.1:50052")]
    pub migrator_address: String,

    /// The issuer that tokens name; verifiers are configured with the same text.
    #[arg(long, env = "TENANTRY_ISSUER", default_value = "https://tenantry.invalid")]
    pub issuer: String,

    /// A database server for companies, without credentials: name=postgres://host:port,
    /// name=mysql://host:port or name=sqlite:/folder. Registered at the start; may be repeated.
    #[arg(long = "database-server", env = "CATALOG_DATABASE_SERVERS", value_delimiter = ',')]
    pub database_servers: Vec<PublicServer>,

    /// A lifecycle hook: name=http://host:port, with ?blocking=false, timeout_ms and max_attempts where wanted, or
    /// name=retired once no step is to wait for it any more. May be repeated.
    #[arg(long = "lifecycle-hook", env = "CATALOG_LIFECYCLE_HOOKS", value_delimiter = ',')]
    pub lifecycle_hooks: Vec<HookConfig>,

    /// A file that names the tenant-aware services beside ours: who may resolve tenants, whom tokens are for, and which
    /// of their scopes each role has (examples/notes/tenant-services.json).
    #[arg(long, env = "CATALOG_TENANT_SERVICES_FILE")]
    pub tenant_services_file: Option<PathBuf>,

    /// Lets anybody register a company.
    #[arg(long, env = "CATALOG_PUBLIC_SIGN_UP", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub public_sign_up: bool,

    /// How long a token lives, in seconds.
    #[arg(long, env = "CATALOG_TOKEN_LIFETIME_S", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub token_lifetime_s: u64,

    /// For how long verifiers may keep the key set, in seconds.
    #[arg(long, env = "CATALOG_JWKS_MAX_AGE_S", default_value_t = 300, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub jwks_max_age_s: u32,

    /// How long an invitation can be accepted, in seconds.
    #[arg(long, env = "CATALOG_INVITATION_LIFETIME_S", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub invitation_lifetime_s: u64,

    /// How long an operator acts for a user by one token, in seconds.
    #[arg(long, env = "CATALOG_IMPERSONATION_LIFETIME_S", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub impersonation_lifetime_s: u32,

    /// API keys that a company has at most.
    #[arg(long, env = "CATALOG_API_KEYS_PER_COMPANY", default_value_t = 100)]
    pub api_keys_per_company: u64,

    /// For how long a deleted company can be undeleted, in days; then it is purged.
    #[arg(long, env = "CATALOG_DELETION_GRACE_DAYS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(0..=3_650))]
    pub deletion_grace_days: u16,

    /// For how long a rotated database credential goes on working beside the new one, in seconds: longer than services
    /// use what they remember of a placement (TENANTRY_PLACEMENT_STALENESS_S).
    #[arg(long, env = "CATALOG_CREDENTIAL_DRAIN_S", default_value_t = CREDENTIAL_DRAIN_S, value_parser = clap::value_parser!(u64).range(1..=2_592_000))]
    pub credential_drain_s: u64,
}

/// The staleness of placements by default, and five minutes.
const CREDENTIAL_DRAIN_S: u64 = 3_900;

impl CatalogConfig {
    /// The defaults, whatever the environment says, with what has none.
    pub fn at(
        listen: SocketAddr,
        mode: Mode,
        central: CentralConfig,
        sealing: SealingConfig,
        identity: ServiceKeyFiles,
    ) -> Self {
        Self {
            server: ServerConfig::at(listen, mode),
            central,
            sealing,
            identity,
            passwords: PasswordConfig::default(),
            provisioning: WorkerSettings::default(),
            watching: WatchSettings::default(),
            events: EventSettings::default(),
            keys: KeySettings::default(),
            sessions: SessionSettings::default(),
            throttle: ThrottleSettings::default(),
            issuers: IssuerSettings::default(),
            migrator_address: "http://127.0.0.1:50052".to_owned(),
            issuer: "https://tenantry.invalid".to_owned(),
            database_servers: Vec::new(),
            lifecycle_hooks: Vec::new(),
            tenant_services_file: None,
            public_sign_up: false,
            token_lifetime_s: 900,
            jwks_max_age_s: 300,
            invitation_lifetime_s: 900,
            impersonation_lifetime_s: 300,
            api_keys_per_company: 100,
            deletion_grace_days: 30,
            credential_drain_s: CREDENTIAL_DRAIN_S,
        }
    }
}

/// The longest address of a database server.
const MAX_ENDPOINT_BYTES: usize = 1_024;

/// The public side of a database server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicServer {
    /// Its name, which the migrator knows it by too.
    pub name: String,
    /// `postgres`, `mysql` or `sqlite`.
    pub engine: &'static str,
    /// Its address without credentials.
    pub endpoint: String,
}

impl FromStr for PublicServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, endpoint) = text.split_once('=').ok_or("write it as name=postgres://host:port")?;
        Self::new(name, endpoint).map_err(|(_, problem)| problem)
    }
}

impl PublicServer {
    /// Checks a name and an address without credentials; what is wrong, with which of the two.
    pub(crate) fn new(name: &str, endpoint: &str) -> Result<Self, (&'static str, String)> {
        let fits = (1..=63).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !fits {
            let problem = format!("{name:?} is no server name: 1 to 63 of letters, digits, '-', '_' and '.'");
            return Err(("name", problem));
        }
        let wrong = |problem: String| Err(("endpoint", problem));
        if endpoint.contains('@') {
            return wrong("the catalog must not be given a database server's credentials".to_owned());
        }
        if endpoint.len() > MAX_ENDPOINT_BYTES || endpoint.chars().any(char::is_control) {
            return wrong(format!("an address has at most {MAX_ENDPOINT_BYTES} bytes and no control characters"));
        }
        let engine = match endpoint.split_once(':') {
            Some(("postgres" | "postgresql", _)) => "postgres",
            Some(("mysql" | "mariadb", _)) => "mysql",
            Some(("sqlite", folder)) if !folder.is_empty() => "sqlite",
            _ => return wrong(format!("{endpoint:?} is no postgres:, mysql: or sqlite: address")),
        };
        let has_host = || Url::parse(endpoint).is_ok_and(|url| url.host_str().is_some_and(|host| !host.is_empty()));
        if engine != "sqlite" && !has_host() {
            return wrong(format!("{endpoint:?} names no host: write it as postgres://host:port"));
        }
        Ok(Self { name: name.to_owned(), engine, endpoint: endpoint.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_and_credentials_refused() {
        let server: PublicServer = "pg1=postgres://db.example:5432".parse().expect("a server");
        assert_eq!((server.name.as_str(), server.engine), ("pg1", "postgres"));
        for bad in [
            "postgres://x",
            "=postgres://x",
            "a b=postgres://x",
            "a=oracle://x",
            "a=postgres://user:pw@x",
            "a=postgres:x",
            "a=sqlite:",
        ] {
            assert!(bad.parse::<PublicServer>().is_err(), "{bad}");
        }
    }
}

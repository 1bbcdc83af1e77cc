//! How many connections, and how long to wait for one.

use clap::{Args, ValueEnum};

use crate::ConfigError;

/// Which idle connection is closed when another database needs room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum EvictionPolicy {
    /// The one whose database was wanted least lately.
    #[default]
    Frequency,
    /// The one that has been idle longest: what the other is measured against.
    Lru,
}

/// The budget of connections to tenants' databases, per database server.
#[derive(Debug, Clone, Args)]
pub struct PoolConfig {
    /// The most connections to one database server, whatever they are doing:
    /// in use, idle, being opened or being closed.
    #[arg(
        id = "pool_connections_per_server",
        long = "pool-connections-per-server",
        env = "TENANTRY_POOL_CONNECTIONS_PER_SERVER",
        default_value_t = 50
    )]
    pub connections_per_server: u32,
    /// The most connections to one tenant's database.
    #[arg(
        id = "pool_connections_per_tenant",
        long = "pool-connections-per-tenant",
        env = "TENANTRY_POOL_CONNECTIONS_PER_TENANT",
        default_value_t = 10
    )]
    pub connections_per_tenant: u32,
    /// The most connections to one database server that are opened at the same
    /// time. Logging in is work for a CPU on both sides, so more of them at
    /// once only slow down the requests that have a connection: stay near the
    /// number of cores.
    #[arg(
        id = "pool_connects_in_flight_per_server",
        long = "pool-connects-in-flight-per-server",
        env = "TENANTRY_POOL_CONNECTS_IN_FLIGHT_PER_SERVER",
        default_value_t = 4
    )]
    pub connects_in_flight_per_server: u32,
    /// Milliseconds that opening a connection may take.
    #[arg(
        id = "pool_connect_timeout_ms",
        long = "pool-connect-timeout-ms",
        env = "TENANTRY_POOL_CONNECT_TIMEOUT_MS",
        default_value_t = 5_000
    )]
    pub connect_timeout_ms: u64,
    /// Milliseconds that a request waits for a connection, if its own deadline
    /// is not earlier.
    #[arg(
        id = "pool_checkout_timeout_ms",
        long = "pool-checkout-timeout-ms",
        env = "TENANTRY_POOL_CHECKOUT_TIMEOUT_MS",
        default_value_t = 5_000
    )]
    pub checkout_timeout_ms: u64,
    /// Seconds after which an unused connection is closed.
    #[arg(
        id = "pool_idle_timeout_s",
        long = "pool-idle-timeout-s",
        env = "TENANTRY_POOL_IDLE_TIMEOUT_S",
        default_value_t = 600
    )]
    pub idle_timeout_s: u64,
    /// Which idle connection is closed when another database needs room.
    #[arg(
        id = "pool_eviction",
        long = "pool-eviction",
        env = "TENANTRY_POOL_EVICTION",
        value_enum,
        default_value_t = EvictionPolicy::default()
    )]
    pub eviction: EvictionPolicy,
    /// After so many failures in a row to open a connection to a database server it is not tried any more, but by one
    /// request at a time. Only failures of the server count, no tenant's own.
    #[arg(
        id = "pool_breaker_failures",
        long = "pool-breaker-failures",
        env = "TENANTRY_POOL_BREAKER_FAILURES",
        default_value_t = 5
    )]
    pub breaker_failures: u32,
    /// Milliseconds until such a server is tried again; doubles each time, and half of it is left to luck.
    #[arg(
        id = "pool_breaker_wait_ms",
        long = "pool-breaker-wait-ms",
        env = "TENANTRY_POOL_BREAKER_WAIT_MS",
        default_value_t = 500
    )]
    pub breaker_wait_ms: u64,
    /// The longest such wait, in milliseconds.
    #[arg(
        id = "pool_breaker_max_wait_ms",
        long = "pool-breaker-max-wait-ms",
        env = "TENANTRY_POOL_BREAKER_MAX_WAIT_MS",
        default_value_t = 5_000
    )]
    pub breaker_max_wait_ms: u64,
    /// Prepared statements that each connection remembers.
    #[arg(
        id = "pool_statement_cache_capacity",
        long = "pool-statement-cache-capacity",
        env = "TENANTRY_POOL_STATEMENT_CACHE_CAPACITY",
        default_value_t = 100
    )]
    pub statement_cache_capacity: usize,
    /// How the connections name themselves to PostgreSQL.
    #[arg(
        id = "pool_application_name",
        long = "pool-application-name",
        env = "TENANTRY_POOL_APPLICATION_NAME",
        default_value = "tenantry"
    )]
    pub application_name: String,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            connections_per_server: 50,
            connections_per_tenant: 10,
            connects_in_flight_per_server: 4,
            connect_timeout_ms: 5_000,
            checkout_timeout_ms: 5_000,
            idle_timeout_s: 600,
            eviction: EvictionPolicy::default(),
            breaker_failures: 5,
            breaker_wait_ms: 500,
            breaker_max_wait_ms: 5_000,
            statement_cache_capacity: 100,
            application_name: "tenantry".to_owned(),
        }
    }
}

impl PoolConfig {
    /// Refuses what cannot work, before a socket opens.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let positive = [
            ("connections_per_server", u64::from(self.connections_per_server)),
            ("connections_per_tenant", u64::from(self.connections_per_tenant)),
            ("connects_in_flight_per_server", u64::from(self.connects_in_flight_per_server)),
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("checkout_timeout_ms", self.checkout_timeout_ms),
            ("idle_timeout_s", self.idle_timeout_s),
            ("breaker_failures", u64::from(self.breaker_failures)),
            ("breaker_wait_ms", self.breaker_wait_ms),
        ];
        if let Some((name, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::new(format!("pool: {name} must be at least 1")));
        }
        if self.connections_per_tenant > self.connections_per_server {
            return Err(ConfigError::new("pool: connections_per_tenant must not exceed connections_per_server"));
        }
        if self.breaker_wait_ms > self.breaker_max_wait_ms {
            return Err(ConfigError::new("pool: breaker_wait_ms must not exceed breaker_max_wait_ms"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::PlacementCacheConfig;

    #[derive(Parser)]
    struct Service {
        #[command(flatten)]
        pool: PoolConfig,
        #[command(flatten)]
        cache: PlacementCacheConfig,
    }

    #[test]
    fn flags_and_defaults_agree() {
        let service = Service::parse_from(["service"]);
        assert_eq!(format!("{:?}", service.pool), format!("{:?}", PoolConfig::default()));
        assert_eq!(format!("{:?}", service.cache), format!("{:?}", PlacementCacheConfig::default()));
        assert!(service.pool.validate().is_ok() && service.cache.validate().is_ok());

        let changed = Service::parse_from(["service", "--pool-connections-per-server", "7", "--placement-ttl-ms", "1"]);
        assert_eq!((changed.pool.connections_per_server, changed.cache.placement_ttl_ms), (7, 1));
        assert!(changed.pool.validate().is_err(), "fewer than one tenant may have");
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let with = |change: fn(&mut PoolConfig)| {
            let mut config = PoolConfig::default();
            change(&mut config);
            config.validate()
        };
        assert!(with(|config| config.breaker_failures = 0).is_err());
        assert!(with(|config| config.breaker_failures = 1).is_ok());
        assert!(with(|config| config.breaker_wait_ms = 0).is_err());
        assert!(with(|config| config.breaker_wait_ms = 5_001).is_err());
        assert!(with(|config| config.breaker_wait_ms = 5_000).is_ok());
    }
}

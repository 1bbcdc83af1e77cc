use std::net::SocketAddr;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use crate::tls::TlsConfig;

/// What is taken for granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Everything on one machine, made for trying things out.
    Dev,
    /// Refuses what is only safe on one machine.
    Production,
}

/// How a service serves.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerConfig {
    /// The address and port to listen on; port 0 takes a free one.
    #[arg(long, env = "TENANTRY_LISTEN", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

    /// Refuses, in production, what is only safe on one machine.
    #[arg(long, env = "TENANTRY_MODE", value_enum, default_value_t = Mode::Production)]
    pub mode: Mode,

    /// Calls at once, over all connections; more are refused.
    #[arg(long, env = "TENANTRY_MAX_CONCURRENT_CALLS", default_value_t = 1_000)]
    pub max_concurrent_calls: usize,

    /// The deadline of a call that names none, in milliseconds.
    #[arg(long, env = "TENANTRY_DEFAULT_DEADLINE_MS", default_value_t = 30_000)]
    pub default_deadline_ms: u64,

    /// The longest deadline that a call can ask for, in milliseconds.
    #[arg(long, env = "TENANTRY_MAX_DEADLINE_MS", default_value_t = 300_000)]
    pub max_deadline_ms: u64,

    /// The longest deadline of a call whose answer is a stream, such as an import, in milliseconds; also where it names
    /// none. A watch has none.
    #[arg(long, env = "TENANTRY_MAX_STREAM_DEADLINE_MS", default_value_t = 3_600_000)]
    pub max_stream_deadline_ms: u64,

    /// How long calls under way may go on after a stop signal, in milliseconds.
    #[arg(long, env = "TENANTRY_DRAIN_GRACE_MS", default_value_t = 10_000)]
    pub drain_grace_ms: u64,

    /// After so long a client is told to open another connection, in milliseconds, give or take a tenth: so clients find
    /// replicas that have come since. Calls under way finish where they are. 0 never tells.
    #[arg(long, env = "TENANTRY_MAX_CONNECTION_AGE_MS", default_value_t = 1_800_000)]
    pub max_connection_age_ms: u64,

    /// Proxies in front of this service that are trusted to say in X-Forwarded-For where a call comes from. With none,
    /// a call comes from whoever has connected.
    #[arg(long, env = "TENANTRY_TRUSTED_HOPS", default_value_t = 0)]
    pub trusted_hops: u8,

    /// Verified tokens that are remembered until they expire, a longer one than 2 KiB counting as several; 0 verifies the
    /// signature of every call's.
    #[arg(long, env = "TENANTRY_REMEMBERED_TOKENS", default_value_t = 10_000)]
    pub remembered_tokens: u64,

    /// Streams at once on one HTTP/2 connection.
    #[arg(long, env = "TENANTRY_MAX_STREAMS_PER_CONNECTION", default_value_t = 256)]
    pub max_streams_per_connection: u32,

    /// How often a quiet connection is pinged, in milliseconds.
    #[arg(long, env = "TENANTRY_KEEPALIVE_INTERVAL_MS", default_value_t = 30_000)]
    pub keepalive_interval_ms: u64,

    /// How long a ping may stay unanswered, in milliseconds.
    #[arg(long, env = "TENANTRY_KEEPALIVE_TIMEOUT_MS", default_value_t = 20_000)]
    pub keepalive_timeout_ms: u64,

    /// Lets production speak plaintext off this machine, because a sidecar of a service mesh makes mutual TLS of it and
    /// lets nobody else in. Without such a mesh everybody on the network reads and writes everything.
    #[arg(long, env = "TENANTRY_MESH", default_value_t = false, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub mesh: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub tls: TlsConfig,
}

impl ServerConfig {
    /// The defaults, with this address and mode, whatever the environment says.
    pub fn at(listen: SocketAddr, mode: Mode) -> Self {
        Self {
            listen,
            mode,
            max_concurrent_calls: 1_000,
            default_deadline_ms: 30_000,
            max_deadline_ms: 300_000,
            max_stream_deadline_ms: 3_600_000,
            drain_grace_ms: 10_000,
            max_connection_age_ms: 1_800_000,
            trusted_hops: 0,
            remembered_tokens: 10_000,
            max_streams_per_connection: 256,
            keepalive_interval_ms: 30_000,
            keepalive_timeout_ms: 20_000,
            mesh: false,
            tls: TlsConfig::default(),
        }
    }

    /// Whether the values go together, before a socket opens.
    pub fn validate(&self) -> Result<(), String> {
        let protected = self.listen.ip().is_loopback() || self.tls.serves() || self.mesh;
        if self.mode == Mode::Production && !protected {
            return Err(format!(
                "production refuses plaintext on {}: give --tls-cert-file and --tls-key-file, listen on a loopback address behind a proxy that ends TLS, say --mesh where the sidecars of a mesh speak TLS for it, or use --mode dev",
                self.listen
            ));
        }
        self.tls.validate()?;
        if self.max_concurrent_calls == 0 || self.max_streams_per_connection == 0 {
            return Err("max-concurrent-calls and max-streams-per-connection must be at least 1".to_owned());
        }
        if self.default_deadline_ms == 0 || self.default_deadline_ms > self.max_deadline_ms {
            return Err("default-deadline-ms must be at least 1 and at most max-deadline-ms".to_owned());
        }
        if self.max_stream_deadline_ms == 0 {
            return Err("max-stream-deadline-ms must be at least 1".to_owned());
        }
        Ok(())
    }

    /// The deadline of a call that names none.
    pub fn default_deadline(&self) -> Duration {
        Duration::from_millis(self.default_deadline_ms)
    }

    /// The longest deadline.
    pub fn max_deadline(&self) -> Duration {
        Duration::from_millis(self.max_deadline_ms)
    }

    /// The longest deadline of a stream.
    pub fn max_stream_deadline(&self) -> Duration {
        Duration::from_millis(self.max_stream_deadline_ms)
    }

    /// How long a connection is kept, where `luck` spreads those that were opened together over a tenth before and after.
    pub fn connection_age(&self, luck: u64) -> Option<Duration> {
        let age = self.max_connection_age_ms;
        (age > 0).then(|| Duration::from_millis((age - age / 10).saturating_add(luck % (age / 5 + 1))))
    }

    /// How long a drain may take.
    pub fn drain_grace(&self) -> Duration {
        Duration::from_millis(self.drain_grace_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_one_moment_end_over_a_fifth_of_their_age() {
        let at = |age, luck| {
            let listen = "127.0.0.1:1".parse().expect("an address");
            ServerConfig { max_connection_age_ms: age, ..ServerConfig::at(listen, Mode::Dev) }.connection_age(luck)
        };
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!((at(1_000, 0), at(1_000, 200), at(1_000, 201)), (ms(900), ms(1_100), ms(900)));
        assert_eq!((at(1, u64::MAX), at(u64::MAX, u64::MAX).is_some(), at(0, 7)), (ms(1), true, None));
    }

    #[test]
    fn production_refuses_plaintext_off_loopback() {
        let config = |address: &str, mode| ServerConfig::at(address.parse().expect("an address"), mode).validate();
        assert!(config("0.0.0.0:1", Mode::Production).is_err());
        assert!(config("[::]:1", Mode::Production).is_err());
        assert!(config("0.0.0.0:1", Mode::Dev).is_ok());
        assert!(config("127.0.0.1:1", Mode::Production).is_ok());
        assert!(config("[::1]:1", Mode::Production).is_ok());

        let mut config = ServerConfig::at("0.0.0.0:1".parse().expect("an address"), Mode::Production);
        (config.tls.tls_cert_file, config.tls.tls_key_file) = (Some("x".into()), Some("x".into()));
        assert!(config.validate().is_ok());
        config.tls.tls_key_file = None;
        assert!(config.validate().is_err());

        let mut config = ServerConfig::at("0.0.0.0:1".parse().expect("an address"), Mode::Production);
        config.mesh = true;
        assert!(config.validate().is_ok());
    }

    #[test]
    fn limits_are_checked_at_their_edges() {
        let with = |change: fn(&mut ServerConfig)| {
            let mut config = ServerConfig::at(SocketAddr::from(([127, 0, 0, 1], 0)), Mode::Dev);
            change(&mut config);
            config.validate()
        };
        assert!(with(|config| config.max_concurrent_calls = 0).is_err());
        assert!(with(|config| config.max_concurrent_calls = 1).is_ok());
        assert!(with(|config| config.default_deadline_ms = config.max_deadline_ms).is_ok());
        assert!(with(|config| config.default_deadline_ms = config.max_deadline_ms + 1).is_err());
        assert!(with(|config| config.max_stream_deadline_ms = 0).is_err());
        assert!(with(|config| config.max_stream_deadline_ms = 1).is_ok());
    }
}

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::files::{Files, PairFiles};
use super::identity::{TlsIdentity, contradiction};
use crate::server::Mode;

/// How TLS is spoken, at the port and in calls to other services. All files are read again when they change.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsConfig {
    /// The certificate to serve with, in PEM, followed by those between it and its authority. With it the port speaks
    /// nothing but TLS.
    #[arg(long, env = "TENANTRY_TLS_CERT_FILE")]
    pub tls_cert_file: Option<PathBuf>,

    /// The private key of that certificate, in PEM.
    #[arg(long, env = "TENANTRY_TLS_KEY_FILE")]
    pub tls_key_file: Option<PathBuf>,

    /// The authorities whose clients' certificates are believed, in PEM. Clients need not have one unless
    /// --tls-require-client-cert says so; one that is shown is always verified.
    #[arg(long, env = "TENANTRY_TLS_CLIENT_CA_FILE")]
    pub tls_client_ca_file: Option<PathBuf>,

    /// Lets nobody in without a client certificate.
    #[arg(long, env = "TENANTRY_TLS_REQUIRE_CLIENT_CERT", default_value_t = false, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub tls_require_client_cert: bool,

    /// A name in certificates that is a service: catalog=spiffe://example.org/ns/tenantry/sa/catalog, or
    /// catalog=dns:catalog.tenantry.svc. A client with such a certificate calls as that service, and a server with one
    /// is that service whatever its address is called. May be repeated.
    #[arg(long = "tls-service-identity", env = "TENANTRY_TLS_SERVICE_IDENTITIES", value_delimiter = ',')]
    pub tls_service_identities: Vec<TlsIdentity>,

    /// The authorities that services at https:// addresses are believed by, in PEM. Without it: this system's own.
    #[arg(long, env = "TENANTRY_TLS_CA_FILE")]
    pub tls_ca_file: Option<PathBuf>,

    /// The certificate to show to other services, in PEM. Without it: that of --tls-cert-file.
    #[arg(long, env = "TENANTRY_TLS_CLIENT_CERT_FILE")]
    pub tls_client_cert_file: Option<PathBuf>,

    /// The private key of that certificate, in PEM.
    #[arg(long, env = "TENANTRY_TLS_CLIENT_KEY_FILE")]
    pub tls_client_key_file: Option<PathBuf>,

    /// How long a client may take over its TLS handshake, in milliseconds.
    #[arg(long, env = "TENANTRY_TLS_HANDSHAKE_TIMEOUT_MS", default_value_t = HANDSHAKE_TIMEOUT_MS, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub tls_handshake_timeout_ms: u64,

    /// How often the files are looked at for a change, in milliseconds.
    #[arg(long, env = "TENANTRY_TLS_RELOAD_INTERVAL_MS", default_value_t = RELOAD_INTERVAL_MS, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub tls_reload_interval_ms: u64,
}

const HANDSHAKE_TIMEOUT_MS: u64 = 5_000;
const RELOAD_INTERVAL_MS: u64 = 5_000;

impl Default for TlsConfig {
    /// No TLS at the port.
    fn default() -> Self {
        Self {
            tls_cert_file: None,
            tls_key_file: None,
            tls_client_ca_file: None,
            tls_require_client_cert: false,
            tls_service_identities: Vec::new(),
            tls_ca_file: None,
            tls_client_cert_file: None,
            tls_client_key_file: None,
            tls_handshake_timeout_ms: HANDSHAKE_TIMEOUT_MS,
            tls_reload_interval_ms: RELOAD_INTERVAL_MS,
        }
    }
}

impl TlsConfig {
    /// Whether the port speaks TLS.
    pub fn serves(&self) -> bool {
        self.tls_cert_file.is_some()
    }

    /// Whether a client's certificate can prove a service here.
    pub fn knows_services(&self) -> bool {
        self.tls_client_ca_file.is_some() && !self.tls_service_identities.is_empty()
    }

    /// Whether the values go together, and with an address to listen on; which files there are shows when they are read.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let problem = if self.tls_cert_file.is_some() != self.tls_key_file.is_some() {
            "--tls-cert-file and --tls-key-file go together: give both or none"
        } else if self.tls_client_cert_file.is_some() != self.tls_client_key_file.is_some() {
            "--tls-client-cert-file and --tls-client-key-file go together: give both or none"
        } else if self.tls_client_ca_file.is_some() && !self.serves() {
            "--tls-client-ca-file is for a port that speaks TLS: give --tls-cert-file and --tls-key-file too"
        } else if self.tls_require_client_cert && self.tls_client_ca_file.is_none() {
            "--tls-require-client-cert needs to know whose certificates count: give --tls-client-ca-file too"
        } else {
            return contradiction(&self.tls_service_identities).map_or(Ok(()), Err);
        };
        Err(problem.to_owned())
    }

    pub(super) fn serving_files(&self, mode: Mode) -> Option<Files> {
        let pair = pair(self.tls_cert_file.as_ref(), self.tls_key_file.as_ref())?;
        Some(Files {
            pair: Some(pair),
            authorities: self.tls_client_ca_file.clone(),
            guards_key: mode == Mode::Production,
        })
    }

    /// What is shown to other services.
    pub(super) fn own_pair(&self) -> Option<PairFiles> {
        pair(self.tls_client_cert_file.as_ref(), self.tls_client_key_file.as_ref())
            .or_else(|| pair(self.tls_cert_file.as_ref(), self.tls_key_file.as_ref()))
    }
}

fn pair(cert: Option<&PathBuf>, key: Option<&PathBuf>) -> Option<PairFiles> {
    Some(PairFiles { cert: cert?.clone(), key: key?.clone() })
}

/// Whether a host is this machine alone, by its spelling: a name can be made to lead anywhere.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(change: impl FnOnce(&mut TlsConfig)) -> Option<String> {
        let mut config = TlsConfig::default();
        change(&mut config);
        config.validate().err()
    }

    #[test]
    fn what_does_not_go_together_is_refused_with_what_is_missing() {
        let file = || Some(PathBuf::from("x"));
        assert_eq!(problem(|_| {}), None);
        assert_eq!(problem(|config| (config.tls_cert_file, config.tls_key_file) = (file(), file())), None);
        let says =
            |problem: Option<String>, what: &str| assert!(problem.is_some_and(|text| text.contains(what)), "{what}");
        says(problem(|config| config.tls_cert_file = file()), "--tls-key-file");
        says(problem(|config| config.tls_key_file = file()), "--tls-cert-file");
        says(problem(|config| config.tls_client_cert_file = file()), "--tls-client-key-file");
        says(problem(|config| config.tls_client_ca_file = file()), "give --tls-cert-file and --tls-key-file too");
        says(problem(|config| config.tls_require_client_cert = true), "give --tls-client-ca-file too");
        let twice = ["a=dns:x", "b=dns:x"].map(|text| text.parse().expect("an identity")).to_vec();
        says(problem(|config| config.tls_service_identities = twice), "to two services");
    }

    #[test]
    fn limits_hold_at_their_edges() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            tls: TlsConfig,
        }
        let parses = |flag: &str, value: u64| {
            let line = <Line as clap::Parser>::try_parse_from(["x", flag, &value.to_string()]);
            line.is_ok_and(|line| [line.tls.tls_handshake_timeout_ms, line.tls.tls_reload_interval_ms].contains(&value))
        };
        for (flag, most) in [("--tls-handshake-timeout-ms", 60_000), ("--tls-reload-interval-ms", 3_600_000)] {
            assert!(parses(flag, 1) && parses(flag, most), "{flag}");
            assert!(!parses(flag, 0) && !parses(flag, most + 1), "{flag}");
        }
    }

    #[test]
    fn this_machine_is_told_by_its_spelling() {
        for here in ["127.0.0.1", "127.9.9.9", "[::1]", "::1", "localhost", "::ffff:127.0.0.1"] {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in ["10.0.0.1", "0.0.0.0", "[::]", "catalog", "localhost.example", "127.0.0.1.example"] {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }
}

//! How other issuers are dealt with.

use std::path::PathBuf;
use std::time::Duration;

/// How other issuers are dealt with.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Issuers of other tokens")]
pub struct IssuerSettings {
    /// Certificates in PEM of authorities that issuers' certificates may be of, beside those that browsers trust.
    #[arg(long, env = "CATALOG_ISSUER_CA_FILE")]
    pub issuer_ca_file: Option<PathBuf>,

    /// How long a document of an issuer's may take to come, in milliseconds.
    #[arg(long, env = "CATALOG_ISSUER_FETCH_TIMEOUT_MS", default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub issuer_fetch_timeout_ms: u64,

    /// How long a document of an issuer's may be, in bytes.
    #[arg(long, env = "CATALOG_ISSUER_MAX_DOCUMENT_BYTES", default_value_t = 262_144)]
    pub issuer_max_document_bytes: usize,

    /// After how long an issuer's keys are fetched anew when one is needed, in seconds: for so long, and one fetch, a key
    /// that it does not publish any more is taken.
    #[arg(long, env = "CATALOG_ISSUER_KEY_REFRESH_S", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub issuer_key_refresh_s: u64,

    /// For how long an issuer's keys are taken while no others can be fetched, in seconds.
    #[arg(long, env = "CATALOG_ISSUER_KEY_STALENESS_S", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub issuer_key_staleness_s: u64,

    /// A key that is not known is fetched no sooner than this after the last time, in milliseconds, however many tokens
    /// name one.
    #[arg(long, env = "CATALOG_ISSUER_KEY_MIN_REFETCH_MS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub issuer_key_min_refetch_ms: u64,

    /// For how long a failure to fetch is the answer to everybody who needs a key, in milliseconds.
    #[arg(long, env = "CATALOG_ISSUER_KEY_FAILURE_KEPT_MS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub issuer_key_failure_kept_ms: u64,

    /// How far an issuer's clock may be apart from ours, in seconds.
    #[arg(long, env = "CATALOG_ISSUER_CLOCK_LEEWAY_S", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=300))]
    pub issuer_clock_leeway_s: u32,
}

impl Default for IssuerSettings {
    fn default() -> Self {
        Self {
            issuer_ca_file: None,
            issuer_fetch_timeout_ms: 3_000,
            issuer_max_document_bytes: 262_144,
            issuer_key_refresh_s: 300,
            issuer_key_staleness_s: 3_600,
            issuer_key_min_refetch_ms: 2_000,
            issuer_key_failure_kept_ms: 2_000,
            issuer_clock_leeway_s: 30,
        }
    }
}

/// No key set fits into less, and more than one is nobody's.
const DOCUMENT_BYTES: std::ops::RangeInclusive<usize> = 256..=16 * 1024 * 1024;

impl IssuerSettings {
    pub(super) fn validate(&self) -> Result<(), String> {
        if !DOCUMENT_BYTES.contains(&self.issuer_max_document_bytes) {
            return Err("--issuer-max-document-bytes must be 256 to 16777216".to_owned());
        }
        if self.issuer_key_staleness_s < self.issuer_key_refresh_s {
            return Err("--issuer-key-staleness-s must not be less than --issuer-key-refresh-s".to_owned());
        }
        Ok(())
    }

    pub(crate) fn leeway(&self) -> Duration {
        Duration::from_secs(self.issuer_clock_leeway_s.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_checked_at_their_edges() {
        let settings = |bytes, refresh, staleness| IssuerSettings {
            issuer_max_document_bytes: bytes,
            issuer_key_refresh_s: refresh,
            issuer_key_staleness_s: staleness,
            ..IssuerSettings::default()
        };
        assert!(settings(256, 5, 5).validate().is_ok() && settings(16_777_216, 5, 6).validate().is_ok());
        assert!(settings(255, 5, 5).validate().is_err() && settings(16_777_217, 5, 5).validate().is_err());
        assert!(settings(256, 5, 4).validate().is_err());
    }
}

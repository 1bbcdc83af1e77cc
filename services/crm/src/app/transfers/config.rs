use std::time::Duration;

use clap::Args;

/// The bounds of imports and exports.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct TransferConfig {
    /// Imports and exports that are served at once; more are refused.
    #[arg(long, env = "CRM_TRANSFERS_AT_ONCE", default_value_t = 16)]
    pub transfers_at_once: u32,
    /// The same of one company.
    #[arg(long, env = "CRM_TRANSFERS_AT_ONCE_PER_COMPANY", default_value_t = 4)]
    pub transfers_at_once_per_company: u32,
    /// The most rows that an import reads.
    #[arg(long, env = "CRM_IMPORT_MAX_ROWS", default_value_t = 1_000_000)]
    pub import_max_rows: u64,
    /// The most bytes that an import reads.
    #[arg(long, env = "CRM_IMPORT_MAX_BYTES", default_value_t = 1 << 30)]
    pub import_max_bytes: u64,
    /// The longest row of an import, in bytes: the values of a CSV row, a line of JSON Lines.
    #[arg(long, env = "CRM_IMPORT_MAX_ROW_BYTES", default_value_t = 256 * 1024)]
    pub import_max_row_bytes: usize,
    /// Rows that are written together, in BEST_EFFORT in a transaction of their own.
    #[arg(long, env = "CRM_IMPORT_BATCH_ROWS", default_value_t = 500)]
    pub import_batch_rows: usize,
    /// How long an import waits for its next part, in milliseconds.
    #[arg(long, env = "CRM_IMPORT_IDLE_TIMEOUT_MS", default_value_t = 30_000)]
    pub import_idle_timeout_ms: u64,
    /// How long the one transaction of an ALL_OR_NOTHING import may take, in milliseconds. It holds a connection, and on
    /// SQLite it keeps others of the company from writing.
    #[arg(long, env = "CRM_IMPORT_TRANSACTION_TIMEOUT_MS", default_value_t = 600_000)]
    pub import_transaction_timeout_ms: u64,
}

impl Default for TransferConfig {
    fn default() -> Self {
        Self {
            transfers_at_once: 16,
            transfers_at_once_per_company: 4,
            import_max_rows: 1_000_000,
            import_max_bytes: 1 << 30,
            import_max_row_bytes: 256 * 1024,
            import_batch_rows: 500,
            import_idle_timeout_ms: 30_000,
            import_transaction_timeout_ms: 600_000,
        }
    }
}

impl TransferConfig {
    /// Refuses what cannot work, before a socket opens.
    pub fn validate(&self) -> Result<(), String> {
        let values = [
            ("transfers-at-once", u64::from(self.transfers_at_once)),
            ("transfers-at-once-per-company", u64::from(self.transfers_at_once_per_company)),
            ("import-max-rows", self.import_max_rows),
            ("import-max-bytes", self.import_max_bytes),
            ("import-max-row-bytes", self.import_max_row_bytes as u64),
            ("import-batch-rows", self.import_batch_rows as u64),
            ("import-idle-timeout-ms", self.import_idle_timeout_ms),
            ("import-transaction-timeout-ms", self.import_transaction_timeout_ms),
        ];
        match values.iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(format!("{name} must be at least 1")),
            None => Ok(()),
        }
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.import_idle_timeout_ms)
    }

    pub(crate) fn transaction_timeout(&self) -> Duration {
        Duration::from_millis(self.import_transaction_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Service {
        #[command(flatten)]
        transfers: TransferConfig,
    }

    #[test]
    fn flags_and_defaults_agree_and_nothing_is_bounded_by_zero() {
        let parsed = |words: &[&str]| Service::parse_from([&["service"], words].concat()).transfers;
        assert_eq!(parsed(&[]), TransferConfig::default());
        assert_eq!(parsed(&[]).validate(), Ok(()));
        assert_eq!(parsed(&["--import-max-rows", "1"]).validate(), Ok(()));
        assert_eq!(
            parsed(&["--import-max-rows", "0"]).validate(),
            Err("import-max-rows must be at least 1".to_owned())
        );
    }
}

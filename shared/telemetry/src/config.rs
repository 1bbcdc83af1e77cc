use std::net::SocketAddr;

use clap::{Args, ValueEnum};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line, for machines.
    Json,
}

/// Logs, traces and metrics.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Telemetry")]
pub struct TelemetryConfig {
    /// How log lines look on standard error.
    #[arg(long, env = "TENANTRY_LOG_FORMAT", value_enum, default_value_t = LogFormat::Pretty)]
    pub log_format: LogFormat,

    /// What is logged, as tracing directives such as "info,catalog=debug".
    #[arg(long, env = "TENANTRY_LOG", default_value = "info")]
    pub log_filter: String,

    /// Where spans and metrics are sent by OTLP over gRPC, such as http://127.0.0.1:4317. Unset: nowhere.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,

    /// The share of traces that are kept, 0 to 1, where a caller has not decided. What fails is kept anyway, and so is
    /// each database that a rollout comes to.
    #[arg(long, env = "TENANTRY_TRACE_RATIO", default_value_t = 1.0)]
    pub trace_ratio: f64,

    /// The address on which metrics are read at /metrics, in Prometheus' text format, such as 127.0.0.1:9464. Plain HTTP
    /// for whoever reaches it: keep it off public networks. Unset: nowhere.
    #[arg(long, env = "TENANTRY_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,

    /// How often metrics are sent to the OTLP endpoint, in milliseconds; 0 sends none. What is counted in databases is
    /// counted no more often either.
    #[arg(long, env = "TENANTRY_METRICS_INTERVAL_MS", default_value_t = DEFAULT_INTERVAL_MS, value_parser = interval)]
    pub metrics_interval_ms: u64,
}

/// OpenTelemetry's own default.
const DEFAULT_INTERVAL_MS: u64 = 60_000;
/// More often is more work than it tells.
const SHORTEST_INTERVAL_MS: u64 = 100;
const LONGEST_INTERVAL_MS: u64 = 3_600_000;

fn interval(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(millis @ (0 | SHORTEST_INTERVAL_MS..=LONGEST_INTERVAL_MS)) => Ok(millis),
        Ok(_) | Err(_) => Err(format!("0, or {SHORTEST_INTERVAL_MS} to {LONGEST_INTERVAL_MS} milliseconds")),
    }
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Pretty,
            log_filter: "info".to_owned(),
            otlp_endpoint: None,
            trace_ratio: 1.0,
            metrics_listen: None,
            metrics_interval_ms: DEFAULT_INTERVAL_MS,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Service {
        #[command(flatten)]
        telemetry: TelemetryConfig,
    }

    #[test]
    fn flags_and_defaults_agree() {
        let parsed = Service::parse_from(["service"]).telemetry;
        assert_eq!(format!("{parsed:?}"), format!("{:?}", TelemetryConfig::default()));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let takes = |flag: &str, value: &str| Service::try_parse_from(["service", flag, value]).is_ok();
        for (value, taken) in [("0", true), ("99", false), ("100", true), ("3600001", false), ("often", false)] {
            assert_eq!(takes("--metrics-interval-ms", value), taken, "{value}");
        }
        assert!(takes("--metrics-listen", "127.0.0.1:9464") && takes("--metrics-listen", "[::1]:0"));
        assert!(!takes("--metrics-listen", "9464") && !takes("--metrics-listen", "somewhere:9464"));
    }
}

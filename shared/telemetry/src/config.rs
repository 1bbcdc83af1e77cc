use clap::{Args, ValueEnum};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line, for machines.
    Json,
}

/// Logs and traces.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Telemetry")]
pub struct TelemetryConfig {
    /// How log lines look on standard error.
    #[arg(long, env = "TENANTRY_LOG_FORMAT", value_enum, default_value_t = LogFormat::Pretty)]
    pub log_format: LogFormat,

    /// What is logged, as tracing directives such as "info,catalog=debug".
    #[arg(long, env = "TENANTRY_LOG", default_value = "info")]
    pub log_filter: String,

    /// Where spans are sent by OTLP over gRPC, such as http://127.0.0.1:4317. Unset: nowhere.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,

    /// The share of traces that are kept, 0 to 1, where a caller has not decided.
    #[arg(long, env = "TENANTRY_TRACE_RATIO", default_value_t = 1.0)]
    pub trace_ratio: f64,
}

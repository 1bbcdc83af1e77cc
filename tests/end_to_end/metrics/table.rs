//! The table of `shared/telemetry/METRICS.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) instrument: Instrument,
    pub(super) unit: String,
    pub(super) attributes: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instrument {
    Counter,
    UpDownCounter,
    Gauge,
    Histogram,
}

pub(super) fn read() -> anyhow::Result<Vec<Row>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/telemetry/METRICS.md");
    let text = fs::read_to_string(path)?;
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| Row::of(line).with_context(|| format!("no row: {line}"))).collect()
}

impl Row {
    fn of(line: &str) -> Option<Self> {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, instrument, unit, attributes, service, says] = cells[..] else { return None };
        if service.is_empty() || says.is_empty() {
            return None;
        }
        let instrument = match instrument {
            "counter" => Instrument::Counter,
            "up-down counter" => Instrument::UpDownCounter,
            "gauge" => Instrument::Gauge,
            "histogram" => Instrument::Histogram,
            _ => return None,
        };
        let unit = quoted(unit).next()?;
        Some(Self { name: quoted(name).next()?, instrument, unit, attributes: quoted(attributes).collect() })
    }

    /// As Prometheus has it (OpenTelemetry's "Prometheus and OpenMetrics compatibility").
    pub(super) fn prometheus_name(&self) -> String {
        let unit = if self.unit == "s" { "_seconds" } else { "" };
        let total = if self.instrument == Instrument::Counter { "_total" } else { "" };
        format!("{}{unit}{total}", self.name.replace('.', "_"))
    }

    pub(super) fn prometheus_type(&self) -> &'static str {
        match self.instrument {
            Instrument::Counter => "counter",
            Instrument::UpDownCounter | Instrument::Gauge => "gauge",
            Instrument::Histogram => "histogram",
        }
    }
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

//! What dashboards and alerts ask for, against the table of what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;
use tenantry_testkit::process::run;

use super::table::{self, Instrument, Row};
use crate::clients::{command, tool};

/// Labels that the scrape adds, or that Prometheus makes.
const OF_THE_SCRAPE: &[&str] = &["job", "instance", "le"];
/// What a name of ours begins with, as a metric's or a label's.
const OURS: &[&str] = &["rpc_", "db_", "tenantry_", "error_"];

fn deploy() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// Every expression, by where it stands.
fn expressions() -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for file in fs::read_dir(deploy().join("grafana/dashboards"))? {
        let path = file?.path();
        let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(&path)?).with_context(|| name.clone())?;
        for panel in dashboard["panels"].as_array().context("panels")? {
            for target in panel["targets"].as_array().into_iter().flatten() {
                if let Some(expression) = target["expr"].as_str() {
                    found.insert(format!("{name}: {}, {}", panel["title"], target["refId"]), expression.to_owned());
                }
            }
        }
        for variable in dashboard["templating"]["list"].as_array().into_iter().flatten() {
            if let Some(query) = variable["query"]["query"].as_str() {
                found.insert(format!("{name}: {}", variable["name"]), query.to_owned());
            }
        }
    }
    let alerts = fs::read_to_string(deploy().join("prometheus/alerts.yaml"))?;
    for (alert, rule) in alerts.split("- alert: ").skip(1).filter_map(|rule| rule.split_once('\n')) {
        let expression =
            rule.split_once("expr:").and_then(|(_, rest)| rest.split_once("labels:")).context("an expr")?.0;
        found.insert(format!("alert {alert}"), expression.to_owned());
    }
    Ok(found)
}

/// The words of an expression that are names and no strings.
fn names(expression: &str) -> BTreeSet<&str> {
    let outside = expression.split('"').step_by(2);
    let words = outside.flat_map(|part| part.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')));
    words.filter(|word| OURS.iter().any(|prefix| word.starts_with(prefix))).collect()
}

/// The series that a metric has in Prometheus.
fn series(row: &Row) -> Vec<String> {
    let name = row.prometheus_name();
    match row.instrument {
        Instrument::Histogram => ["_bucket", "_count", "_sum"].map(|part| format!("{name}{part}")).into(),
        Instrument::Counter | Instrument::UpDownCounter | Instrument::Gauge => vec![name],
    }
}

#[test]
fn every_expression_names_what_is_exported() -> anyhow::Result<()> {
    let table = table::read()?;
    let exported: BTreeSet<_> = table.iter().flat_map(series).collect();
    let attributes = table.iter().flat_map(|row| &row.attributes).map(|attribute| attribute.replace('.', "_"));
    let labels: BTreeSet<_> = attributes.chain(OF_THE_SCRAPE.iter().map(|&label| label.to_owned())).collect();
    let mut wrong = Vec::new();
    let expressions = expressions()?;
    for (place, expression) in &expressions {
        let names = names(expression);
        if !names.iter().any(|&name| exported.contains(name)) {
            wrong.push(format!("{place} asks for nothing that is exported: {expression}"));
        }
        let unknown = names.into_iter().filter(|&name| !exported.contains(name) && !labels.contains(name));
        wrong.extend(unknown.map(|name| format!("{place}: {name} is neither exported nor a label")));
    }
    assert!(wrong.is_empty(), "see shared/telemetry/METRICS.md:\n{}", wrong.join("\n"));
    assert!(expressions.len() > 50, "only {} expressions were found", expressions.len());
    Ok(())
}

/// By Prometheus' own hand: the rules are rules, each fires as `alerts_test.yaml` says, and Compose's Prometheus reads them.
#[tokio::test]
async fn alerts_fire_as_their_tests_say() -> anyhow::Result<()> {
    let rules = deploy().join("prometheus");
    for words in [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]] {
        let mut promtool = command(tool("TENANTRY_TEST_PROMTOOL")?);
        promtool.args(words).current_dir(&rules);
        let said = run(promtool).await?.success()?;
        assert!(said.contains("SUCCESS"), "{said}");
    }
    let mut promtool = command(tool("TENANTRY_TEST_PROMTOOL")?);
    promtool.args(["check", "config", "--syntax-only"]).arg(deploy().join("compose/prometheus.yaml"));
    run(promtool).await?.success().map(drop)
}

#[test]
fn every_alert_is_tested_and_every_metric_is_on_a_dashboard() -> anyhow::Result<()> {
    let expressions = expressions()?;
    let tests = fs::read_to_string(deploy().join("prometheus/alerts_test.yaml"))?;
    for alert in expressions.keys().filter_map(|place| place.strip_prefix("alert ")) {
        let named = format!("alertname: {alert}\n");
        let mut cases = tests.split("- eval_time:").filter(|case| case.contains(&named));
        assert!(cases.any(|case| case.contains("exp_labels:")), "no case of alerts_test.yaml shows that {alert} fires");
    }
    let dashboards = expressions.iter().filter(|(place, _)| !place.starts_with("alert "));
    let shown: BTreeSet<_> = dashboards.flat_map(|(_, expression)| names(expression)).collect();
    let table = table::read()?;
    let hidden: Vec<_> = table
        .iter()
        .filter(|row| !series(row).iter().any(|name| shown.contains(name.as_str())))
        .map(|row| &row.name)
        .collect();
    assert!(hidden.is_empty(), "on no dashboard: {hidden:?}");
    Ok(())
}

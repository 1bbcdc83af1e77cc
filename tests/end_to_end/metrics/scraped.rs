//! What `GET /metrics` answers, taken apart.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take. A bound for what hangs, no measure of speed.
const BOUND: Duration = Duration::from_secs(60);

/// All families of one answer, by name.
pub(super) struct Scraped(pub(super) BTreeMap<String, Family>);

/// One metric.
pub(super) struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub(super) kind: String,
    pub(super) samples: Vec<Sample>,
}

/// One line.
pub(super) struct Sample {
    /// The family's, with `_bucket`, `_sum` or `_count` where it is a histogram.
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

/// Reads the metrics at an address of the form `http://127.0.0.1:9464/metrics`.
pub(super) async fn scrape(url: &str) -> anyhow::Result<Scraped> {
    let (host, path) = url.trim_start_matches("http://").split_once('/').context("no path")?;
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    timeout(BOUND, stream.read_to_string(&mut answer)).await.context("the metrics do not end")??;
    let (head, body) = answer.split_once("\r\n\r\n").context("no body")?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    Scraped::parse(body)
}

impl Scraped {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut families = BTreeMap::<String, Family>::new();
        let mut current = String::new();
        for line in text.lines().filter(|line| !line.starts_with("# HELP ")) {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, kind) = family.split_once(' ').with_context(|| format!("odd: {line}"))?;
                current = name.to_owned();
                let seen = families.insert(current.clone(), Family { kind: kind.to_owned(), samples: Vec::new() });
                anyhow::ensure!(seen.is_none(), "{name} is there twice");
                continue;
            }
            let sample = Sample::parse(line).with_context(|| format!("odd: {line}"))?;
            anyhow::ensure!(sample.name.starts_with(&current), "{line} is not of {current}");
            families.get_mut(&current).context("a sample without a family")?.samples.push(sample);
        }
        Ok(Self(families))
    }

    /// The one value of this name with these labels, and whatever others.
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|known| known == value))
        };
        let samples = self.0.values().flat_map(|family| &family.samples).filter(|sample| sample.name == name);
        let mut found = samples.filter(has);
        let value = found.next()?.value;
        found.next().is_none().then_some(value)
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, mut rest) = series.split_once('{').unwrap_or((series, "}"));
        let mut labels = BTreeMap::new();
        while rest != "}" {
            let (label, quoted) = rest.split_once("=\"")?;
            // Nothing of ours has a quote or a backslash in it.
            let (text, after) = quoted.split_once('"')?;
            labels.insert(label.to_owned(), text.to_owned());
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        Some(Self { name: name.to_owned(), labels, value: value.parse().ok()? })
    }
}

//! A company as JSON Lines.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use tenantry_api::crm::v1::ExportCompanyResponse;
use tenantry_ids::CompanyId;
use tenantry_rpc::Error;
use tenantry_rpc::streaming::Answering;
use tenantry_tenancy::TenantStream;

use super::CHUNK_BYTES;
use crate::app::transfers::{CompanyExport, Whole};

/// What the first line calls the format, and its version: the next one where a reader has to know.
const FORMAT: &str = "tenantry.crm.company";
const VERSION: u32 = 1;

/// What every line is.
#[derive(Serialize)]
struct Line<'a, T> {
    kind: &'a str,
    row: &'a T,
}

/// The first line's.
#[derive(Serialize)]
struct Head<'a> {
    format: &'a str,
    version: u32,
    company_id: String,
    begin_time: String,
    schema_version: &'a str,
    plugins: Vec<Plugin<'a>>,
}

#[derive(Serialize)]
struct Plugin<'a> {
    name: &'a str,
    version: &'a str,
}

/// The last line's.
#[derive(Serialize)]
struct Tail<'a> {
    rows: i64,
    kinds: &'a Counts,
}

/// How many rows of each kind there were, in the order of the file.
#[derive(Debug, Default)]
struct Counts(Vec<(&'static str, i64)>);

impl Counts {
    fn add(&mut self, kind: &'static str, rows: i64) {
        match self.0.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += rows,
            None => self.0.push((kind, rows)),
        }
    }

    fn total(&self) -> i64 {
        self.0.iter().map(|(_, count)| count).sum()
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(kind, count)| (kind, count)))
    }
}

/// Writes all of it.
pub(super) async fn export_all(
    tenant: TenantStream,
    company: CompanyId,
    now: DateTime<Utc>,
    answering: Answering<ExportCompanyResponse>,
) -> Result<(), Error> {
    let mut export = CompanyExport::begin(tenant).await?;
    let (mut file, mut counts, mut rows) = (Vec::new(), Counts::default(), 0);
    write(&mut file, "export", &head(&export.whole(), company, now))?;
    // None of a kind is worth telling too.
    export.kinds().for_each(|kind| counts.add(kind, 0));
    while let Some((kind, page)) = export.next().await? {
        for row in page {
            write(&mut file, kind, &row)?;
            counts.add(kind, 1);
            rows += 1;
            if file.len() >= CHUNK_BYTES {
                answering.answer(ExportCompanyResponse { chunk: std::mem::take(&mut file), rows }).await;
            }
        }
    }
    write(&mut file, "end", &Tail { rows: counts.total(), kinds: &counts })?;
    answering.answer(ExportCompanyResponse { chunk: file, rows }).await;
    Ok(())
}

fn head(whole: &Whole, company: CompanyId, now: DateTime<Utc>) -> Head<'_> {
    let plugins = whole.plugins.iter().map(|plugin| Plugin { name: &plugin.name, version: &plugin.schema_version });
    Head {
        format: FORMAT,
        version: VERSION,
        company_id: company.to_string(),
        begin_time: now.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        schema_version: &whole.schema_version,
        plugins: plugins.collect(),
    }
}

fn write(file: &mut Vec<u8>, kind: &str, row: &impl Serialize) -> Result<(), Error> {
    serde_json::to_writer(&mut *file, &Line { kind, row }).map_err(Error::internal)?;
    file.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_and_the_last_say_what_the_file_is() {
        let plugin = |name: &str| tenantry_tenancy::InstalledPlugin { name: name.into(), schema_version: "m2".into() };
        let whole = Whole { schema_version: "m1".into(), plugins: vec![plugin("sms")] };
        let now = DateTime::from_timestamp(1_767_225_600, 0).expect("a moment");
        let (mut file, mut counts) = (Vec::new(), Counts::default());
        write(&mut file, "export", &head(&whole, CompanyId(uuid::Uuid::nil()), now)).expect("a line");
        for (kind, rows) in [("place", 0), ("person", 0), ("person", 2), ("place", 1)] {
            counts.add(kind, rows);
        }
        write(&mut file, "end", &Tail { rows: counts.total(), kinds: &counts }).expect("a line");
        let expected = concat!(
            r#"{"kind":"export","row":{"format":"tenantry.crm.company","version":1,"#,
            r#""company_id":"00000000-0000-0000-0000-000000000000","begin_time":"2026-01-01T00:00:00Z","#,
            r#""schema_version":"m1","plugins":[{"name":"sms","version":"m2"}]}}"#,
            "\n",
            r#"{"kind":"end","row":{"rows":3,"kinds":{"place":1,"person":2}}}"#,
            "\n",
        );
        assert_eq!(String::from_utf8_lossy(&file), expected);
    }
}

//! Answers on the terminal: for people, or as JSON.

use std::io::{IsTerminal, Write};

use anyhow::Context;
use prost::Message;
use prost_reflect::{DynamicMessage, SerializeOptions};
use tenantry_api::access::descriptor_pool;

pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether somebody looks while it happens.
    pub(crate) fn is_live(&self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }

    /// A message: as JSON, under proto3's mapping, or as `text` says it.
    pub(crate) fn answer<M: Message>(
        &self,
        name: &str,
        message: &M,
        text: impl FnOnce(&M) -> String,
    ) -> anyhow::Result<()> {
        if self.json { self.line(&json(name, message)?) } else { self.line(&text(message)) }
    }

    /// A line. Nobody reading is no failure of the command.
    pub(crate) fn line(&self, text: &str) -> anyhow::Result<()> {
        match writeln!(std::io::stdout(), "{text}") {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(error).context("nothing can be written")
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn json<M: Message>(name: &str, message: &M) -> anyhow::Result<String> {
    let descriptor = descriptor_pool()?.get_message_by_name(name).with_context(|| format!("no message {name}"))?;
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())?;
    let mut bytes = Vec::new();
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut bytes), &options)?;
    Ok(String::from_utf8(bytes)?)
}

/// Columns as wide as their widest cell.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let rows =
            vec![vec!["a".to_owned(), "電力".to_owned(), "x".to_owned()], vec!["bcd".to_owned(), "e".to_owned()]];
        assert_eq!(table(&rows), "a    電力  x\nbcd  e");
    }

    #[test]
    fn json_has_the_contracts_names_and_every_field() {
        let message = tenantry_api::migrator::v1::VersionCount { version: "m1".into(), ..Default::default() };
        let text = json("tenantry.migrator.v1.VersionCount", &message).expect("JSON");
        assert_eq!(text, r#"{"version":"m1","server":"","databases":0}"#);
    }
}

//! The rows of a file, in either format.

use tenantry_rpc::{Error, FieldViolation, Violations};

use super::text::{parse, write};
use crate::app::people::Newcomer;
use crate::app::transfers::WithAddresses;
use crate::domain::transfer::{COLUMNS, CsvReader, Flaw, LineReader, PersonText, write_row};

/// How much of what a caller sent an answer repeats, in characters.
const MOST_REPEATED: usize = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    JsonLines,
}

/// What was read of a row.
pub(super) type Parsed = Result<Newcomer, Vec<FieldViolation>>;

/// Reads a file that comes in pieces.
pub(super) struct Rows {
    reader: Reader,
    most_row_bytes: usize,
}

enum Reader {
    Csv(Box<CsvReader>, Option<Vec<&'static str>>),
    JsonLines(LineReader),
}

impl Rows {
    pub(super) fn new(format: Format, most_row_bytes: usize) -> Self {
        let reader = match format {
            Format::Csv => Reader::Csv(Box::new(CsvReader::new(most_row_bytes)), None),
            Format::JsonLines => Reader::JsonLines(LineReader::new(most_row_bytes)),
        };
        Self { reader, most_row_bytes }
    }

    /// Reads on; gives how many bytes it took, and a row if one has ended with them. Fails where the header is wrong.
    pub(super) fn push(&mut self, input: &[u8]) -> Result<(usize, Option<Parsed>), Error> {
        let most = self.most_row_bytes;
        match &mut self.reader {
            Reader::Csv(reader, header) => {
                let (took, row) = reader.push(input);
                Ok((took, row.map_or(Ok(None), |row| cells(header, row, most))?))
            }
            Reader::JsonLines(reader) => {
                let (took, line) = reader.push(input);
                Ok((took, line.map(|line| parse_line(line, most))))
            }
        }
    }

    /// The last row, if it has no line end.
    pub(super) fn finish(&mut self) -> Result<Option<Parsed>, Error> {
        let most = self.most_row_bytes;
        match &mut self.reader {
            Reader::Csv(reader, header) => {
                let row = reader.finish().map_or(Ok(None), |row| cells(header, row, most))?;
                match header {
                    Some(_) => Ok(row),
                    None => Err(wrong_header("header", "must be there: the first row names the columns")),
                }
            }
            Reader::JsonLines(reader) => Ok(reader.finish().map(|line| parse_line(line, most))),
        }
    }
}

/// A row, or nothing where it is the header.
fn cells(
    header: &mut Option<Vec<&'static str>>,
    row: Result<Vec<String>, Flaw>,
    most: usize,
) -> Result<Option<Parsed>, Error> {
    match header {
        Some(columns) => Ok(Some(parse_row(columns, row, most))),
        None => {
            let names = row.map_err(|flaw| wrong_header("header", &flaw.description(most)))?;
            *header = Some(parse_header(&names)?);
            Ok(None)
        }
    }
}

fn parse_header(names: &[String]) -> Result<Vec<&'static str>, Error> {
    let (mut columns, mut violations) = (Vec::new(), Violations::new());
    for name in names {
        let shown: String = name.chars().take(MOST_REPEATED).collect();
        match COLUMNS.iter().find(|column| **column == name.trim()) {
            Some(column) if columns.contains(column) => violations.add(format!("header.{shown}"), "must be there once"),
            Some(column) => columns.push(*column),
            None => violations.add(format!("header.{shown}"), format!("must be one of {}", COLUMNS.join(", "))),
        }
    }
    violations.check(columns.contains(&"name"), "header.name", "must be there");
    violations.finish(Some(columns))
}

fn wrong_header(field: &str, description: &str) -> Error {
    Error::fields(vec![FieldViolation { field: field.to_owned(), description: description.to_owned() }])
}

fn parse_row(columns: &[&'static str], row: Result<Vec<String>, Flaw>, most: usize) -> Parsed {
    let mut violations = Violations::new();
    let cells = row.map_err(|flaw| wrong_row(flaw.description(most)))?;
    if cells.len() != columns.len() {
        let (cells, header) = (cells.len(), columns.len());
        return Err(wrong_row(format!("must have {header} cells, as the header has, and has {cells}")));
    }
    let mut text = PersonText::default();
    for (column, cell) in columns.iter().zip(cells) {
        if let Err(description) = text.set(column, cell) {
            violations.add(if *column == "labels" { "person.labels" } else { *column }, description);
        }
    }
    parse(text, violations)
}

fn parse_line(line: Result<String, Flaw>, most: usize) -> Parsed {
    let line = line.map_err(|flaw| wrong_row(flaw.description(most)))?;
    let wrong = |why: &str| wrong_row(format!("must be a JSON object of the fields of a person{why}"));
    // An array would be taken for the fields in their order.
    if !line.trim_start().starts_with('{') {
        return Err(wrong(""));
    }
    let text = serde_json::from_str(&line).map_err(|error| wrong(&format!(": {error}")))?;
    parse(text, Violations::new())
}

fn wrong_row(description: String) -> Vec<FieldViolation> {
    vec![FieldViolation { field: "row".to_owned(), description }]
}

/// A file that is written.
pub(super) struct Sheet {
    format: Format,
    bytes: Vec<u8>,
}

impl Sheet {
    /// With its header, if it has one.
    pub(super) fn new(format: Format) -> Self {
        let mut bytes = Vec::new();
        if format == Format::Csv {
            write_row(&mut bytes, COLUMNS.iter().copied());
        }
        Self { format, bytes }
    }

    pub(super) fn add(&mut self, person: WithAddresses) {
        let text = write(person);
        match self.format {
            Format::Csv => write_row(&mut self.bytes, text.cells().iter().map(String::as_str)),
            Format::JsonLines => {
                self.bytes.extend(serde_json::to_string(&text).unwrap_or_default().as_bytes());
                self.bytes.push(b'\n');
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What was written since the last time.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

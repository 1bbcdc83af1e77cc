//! People as text: what a file of them is made of.

mod csv;
mod lines;
mod text;

pub(crate) use csv::{CsvReader, write_row};
pub(crate) use lines::LineReader;
pub(crate) use text::{AddressText, COLUMNS, PersonText};

/// Why a row cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    TooLong,
    TooWide,
    OpenQuote,
    NotUtf8,
}

impl Flaw {
    /// For whoever sent it; `most` is the longest row, in bytes.
    pub(crate) fn description(&self, most: usize) -> String {
        match self {
            Self::TooLong => format!("must have at most {most} bytes; look for a quote that does not close"),
            Self::TooWide => format!("must have at most {} cells", csv::MOST_CELLS),
            Self::OpenQuote => "must have quotes in pairs: a quote within a cell is written twice".to_owned(),
            Self::NotUtf8 => "must be UTF-8".to_owned(),
        }
    }
}

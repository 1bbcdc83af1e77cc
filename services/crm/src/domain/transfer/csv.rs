//! Comma-separated values (RFC 4180), row by row from bytes that are cut anywhere.

use std::borrow::Cow;

use csv_core::ReadRecordResult as Read;

use super::Flaw;

/// More than there are columns, so that whoever has too many is told of the first.
pub(crate) const MOST_CELLS: usize = 64;

/// Reads rows. It never holds more than one, and of a row that is too long only its beginning.
pub(crate) struct CsvReader {
    core: csv_core::Reader,
    /// The values of the row so far, one after the other. One byte more than they may have.
    cells: Vec<u8>,
    filled: usize,
    ends: [usize; MOST_CELLS + 1],
    ended: usize,
    flaw: Option<Flaw>,
    /// Whether an odd number of quotes came in the row. The reader below takes a quote that does not close for one that
    /// closes with the file.
    in_quotes: bool,
}

impl CsvReader {
    /// Of rows whose values have at most so many bytes.
    pub(crate) fn new(most_row_bytes: usize) -> Self {
        Self {
            core: csv_core::Reader::new(),
            cells: vec![0; most_row_bytes + 1],
            filled: 0,
            ends: [0; MOST_CELLS + 1],
            ended: 0,
            flaw: None,
            in_quotes: false,
        }
    }

    /// Reads on; gives how many bytes it took, and a row if one has ended with them. Empty lines are no rows.
    pub(crate) fn push(&mut self, input: &[u8]) -> (usize, Option<Result<Vec<String>, Flaw>>) {
        let mut read = 0;
        // Nothing more to read would be the end of the file.
        while read < input.len() {
            let (took, row) = self.step(&input[read..]);
            read += took;
            if row.is_some() {
                return (read, row);
            }
        }
        (read, None)
    }

    /// The last row, if it has no line end.
    pub(crate) fn finish(&mut self) -> Option<Result<Vec<String>, Flaw>> {
        // Once more where the row was too long: what was made room for came to nothing.
        (0..3).find_map(|_| self.step(&[]).1)
    }

    fn step(&mut self, input: &[u8]) -> (usize, Option<Result<Vec<String>, Flaw>>) {
        let (cells, ends) = (&mut self.cells[self.filled..], &mut self.ends[self.ended..]);
        let (result, took, filled, ended) = self.core.read_record(input, cells, ends);
        self.in_quotes ^= input[..took].iter().filter(|byte| **byte == b'"').count() % 2 == 1;
        self.filled += filled;
        self.ended += ended;
        match result {
            Read::OutputFull => {
                self.flaw.get_or_insert(Flaw::TooLong);
                self.filled = 0;
            }
            Read::OutputEndsFull => {
                self.flaw.get_or_insert(Flaw::TooWide);
                self.ended = 0;
            }
            Read::Record => return (took, Some(self.take())),
            Read::InputEmpty | Read::End => {}
        }
        (took, None)
    }

    fn take(&mut self) -> Result<Vec<String>, Flaw> {
        let (filled, ended) = (std::mem::take(&mut self.filled), std::mem::take(&mut self.ended));
        let (flaw, in_quotes) = (self.flaw.take(), std::mem::take(&mut self.in_quotes));
        match flaw {
            Some(flaw) => return Err(flaw),
            None if filled >= self.cells.len() => return Err(Flaw::TooLong),
            None if ended > MOST_CELLS => return Err(Flaw::TooWide),
            None if in_quotes => return Err(Flaw::OpenQuote),
            None => {}
        }
        let mut from = 0;
        let cells = self.ends[..ended].iter().map(|end| {
            let cell = self.cells.get(from..*end).unwrap_or_default();
            from = *end;
            std::str::from_utf8(cell).map(|cell| plain(cell).to_owned()).map_err(|_| Flaw::NotUtf8)
        });
        cells.collect()
    }
}

/// Writes a row, with its line end.
pub(crate) fn write_row<'a>(file: &mut Vec<u8>, cells: impl IntoIterator<Item = &'a str>) {
    for (at, cell) in cells.into_iter().enumerate() {
        if at > 0 {
            file.push(b',');
        }
        let cell = neutral(cell);
        if cell.contains(['"', ',', '\r', '\n']) {
            file.push(b'"');
            file.extend(cell.replace('"', "\"\"").as_bytes());
            file.push(b'"');
        } else {
            file.extend(cell.as_bytes());
        }
    }
    file.extend(b"\r\n");
}

/// Whether spreadsheets may take a cell for a formula, but for the apostrophes before it.
fn is_formula(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

fn neutral(cell: &str) -> Cow<'_, str> {
    if is_formula(cell) { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

/// What [`neutral`] was made of.
fn plain(cell: &str) -> &str {
    if is_formula(cell) { cell.strip_prefix('\'').unwrap_or(cell) } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in a file that comes in pieces of so many bytes.
    fn rows(file: &[u8], piece: usize, most: usize) -> Vec<Result<Vec<String>, Flaw>> {
        let mut reader = CsvReader::new(most);
        let mut rows = Vec::new();
        for mut piece in file.chunks(piece) {
            while !piece.is_empty() {
                let (took, row) = reader.push(piece);
                piece = &piece[took..];
                rows.extend(row);
            }
        }
        rows.extend(reader.finish());
        assert_eq!(reader.finish(), None);
        rows
    }

    fn row<const N: usize>(cells: [&str; N]) -> Result<Vec<String>, Flaw> {
        Ok(cells.map(str::to_owned).to_vec())
    }

    #[test]
    fn rows_are_the_same_wherever_they_are_cut() {
        let file = "name,title\r\n\r\nAda,\"a \"\"b\"\",\r\nc\"\n\n電,🦀\r\nlast,".as_bytes();
        let expected = [row(["name", "title"]), row(["Ada", "a \"b\",\r\nc"]), row(["電", "🦀"]), row(["last", ""])];
        for piece in 1..=file.len() {
            assert_eq!(rows(file, piece, 100), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_row_is_as_long_and_as_wide_as_it_may_be_and_no_more_and_the_next_one_is_read() {
        let file = |bytes: usize| format!("{},{}\nnext,row\n", "x".repeat(bytes - 3), "\"y\"\"y\"").into_bytes();
        for piece in [1, 2, 7, 1_000] {
            assert_eq!(rows(&file(20), piece, 20)[0].as_ref().map(|row| row[1].as_str()), Ok("y\"y"));
            assert_eq!(rows(&file(21), piece, 20), [Err(Flaw::TooLong), row(["next", "row"])]);
            assert_eq!(rows(&file(500), piece, 20), [Err(Flaw::TooLong), row(["next", "row"])]);
            let wide = |cells: usize| format!("{}\nnext\n", vec!["a"; cells].join(",")).into_bytes();
            assert_eq!(rows(&wide(64), piece, 100)[0].as_ref().map(Vec::len), Ok(64));
            assert_eq!(rows(&wide(65), piece, 100), [Err(Flaw::TooWide), row(["next"])]);
            assert_eq!(rows(&wide(300), piece, 1_000), [Err(Flaw::TooWide), row(["next"])]);
        }
        assert_eq!(rows(&vec![b'x'; 500], 7, 20), [Err(Flaw::TooLong)]);
    }

    #[test]
    fn a_quote_that_does_not_close_is_no_row() {
        assert_eq!(rows(b"a,\"b\nc,d\n", 3, 100), [Err(Flaw::OpenQuote)]);
        assert_eq!(rows(b"a\"b\nc\n", 3, 100), [Err(Flaw::OpenQuote), row(["c"])]);
        assert_eq!(rows(b"\xff\nc\n", 3, 100), [Err(Flaw::NotUtf8), row(["c"])]);
    }

    #[test]
    fn formulas_are_neutral_in_the_file_and_themselves_again_after_it() {
        let cells =
            ["=1+1", "'=1", "''@x", "-", "+49151", "@a", "\tb", "'", "'plain", "O'Brien", "a=b", "＝1", "", "\r"];
        let mut file = Vec::new();
        write_row(&mut file, cells);
        let text = String::from_utf8(file.clone()).unwrap_or_default();
        assert!(
            text.starts_with("'=1+1,''=1,'''@x,'-,'+49151,'@a,'\tb,','plain,O'Brien,a=b,'＝1,,\"'\r\"\r\n"),
            "{text}"
        );
        assert_eq!(rows(&file, 1_000, 1_000), [row(cells)]);
        // Whoever writes a file by hand need not know of it.
        assert_eq!(rows(b"+49151,-1\n", 9, 100), [row(["+49151", "-1"])]);
    }
}

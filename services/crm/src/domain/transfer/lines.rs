//! Lines, one by one from bytes that are cut anywhere.

use super::Flaw;

/// Reads lines. It never holds more than one, and of a line that is too long only its beginning.
pub(crate) struct LineReader {
    line: Vec<u8>,
    most: usize,
    too_long: bool,
}

impl LineReader {
    /// Of lines of at most so many bytes, without their end.
    pub(crate) fn new(most: usize) -> Self {
        Self { line: Vec::new(), most, too_long: false }
    }

    /// Reads on; gives how many bytes it took, and a line if one has ended with them. Empty lines are none.
    pub(crate) fn push(&mut self, input: &[u8]) -> (usize, Option<Result<String, Flaw>>) {
        match input.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                self.add(&input[..end]);
                (end + 1, self.finish())
            }
            None => {
                self.add(input);
                (input.len(), None)
            }
        }
    }

    /// The last line, if it has no end.
    pub(crate) fn finish(&mut self) -> Option<Result<String, Flaw>> {
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if std::mem::take(&mut self.too_long) || line.len() > self.most {
            return Some(Err(Flaw::TooLong));
        }
        let line = String::from_utf8(line).map_err(|_| Flaw::NotUtf8);
        (!line.as_ref().is_ok_and(|line| line.trim().is_empty())).then_some(line)
    }

    fn add(&mut self, input: &[u8]) {
        // One more, for a carriage return.
        self.too_long |= self.line.len() + input.len() > self.most + 1;
        if !self.too_long {
            self.line.extend_from_slice(input);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: &[u8], piece: usize, most: usize) -> Vec<Result<String, Flaw>> {
        let mut reader = LineReader::new(most);
        let mut lines = Vec::new();
        for mut piece in file.chunks(piece) {
            while !piece.is_empty() {
                let (took, line) = reader.push(piece);
                piece = &piece[took..];
                lines.extend(line);
            }
        }
        lines.extend(reader.finish());
        lines
    }

    #[test]
    fn lines_are_the_same_wherever_they_are_cut_and_as_long_as_they_may_be() {
        let file = "電🦀\r\n\n  \n1234567\r\n12345678\n123456789\r\nend".as_bytes();
        let line = |text: &str| Ok(text.to_owned());
        for piece in 1..=file.len() {
            let expected = [line("電🦀"), line("1234567"), line("12345678"), Err(Flaw::TooLong), line("end")];
            assert_eq!(lines(file, piece, 8), expected, "in pieces of {piece}");
        }
        assert_eq!(lines(b"\xc3\n", 1, 8), [Err(Flaw::NotUtf8)]);
        assert_eq!(lines(&[b'x'; 100], 3, 8), [Err(Flaw::TooLong)]);
    }
}

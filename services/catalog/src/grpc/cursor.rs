//! A place in a stream, as callers have it.

use std::str::FromStr;

/// Written with a letter of its log, so that a cursor of one is none of another; another form of them will have another
/// letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor<const LETTER: char>(pub(super) i64);

impl<const LETTER: char> std::fmt::Display for Cursor<LETTER> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{LETTER}{}", self.0)
    }
}

impl<const LETTER: char> FromStr for Cursor<LETTER> {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let position = text.strip_prefix(LETTER).and_then(|position| position.parse::<u64>().ok());
        position.and_then(|position| i64::try_from(position).ok()).map(Self).ok_or("must be a cursor of this stream")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is_one() {
        for position in [0, 1, i64::MAX] {
            assert_eq!(Cursor::<'c'>(position).to_string().parse(), Ok(Cursor::<'c'>(position)));
        }
        for bad in ["", "c", "c-1", "1", "d1", "c1 ", "c9223372036854775808"] {
            assert!(bad.parse::<Cursor<'c'>>().is_err(), "{bad}");
        }
    }
}

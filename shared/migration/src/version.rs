/// `mYYYYMMDD_HHMMSS_name`, name of `[a-z0-9_]`, at most 100 bytes: sorts by time, and goes into SQL text as it is.
pub(crate) fn is_valid(version: &str) -> bool {
    let mut parts = version.splitn(3, '_');
    let (Some(day), Some(time), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let Some(day) = day.strip_prefix('m') else {
        return false;
    };
    version.len() <= 100
        && digits(day, 8)
        && (1..=12).contains(&number(&day[4..6]))
        && (1..=31).contains(&number(&day[6..8]))
        && digits(time, 6)
        && is_word(name)
}

/// The alphabet of everything of ours that is written into SQL text.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|b| b.is_ascii_digit())
}

fn number(digits: &str) -> u32 {
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn versions() {
        assert!(is_valid("m20260101_000001_people"));
        assert!(is_valid("m20261231_235959_people_2"));
        for bad in [
            "20260101_000001_people",
            "m20261301_000001_people",
            "m20260100_000001_people",
            "m2026010_000001_people",
            "m20260101_00001_people",
            "m20260101_000001_",
            "m20260101_000001",
            "m20260101_000001_People",
            "m20260101_000001_pe'ople",
            "",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}

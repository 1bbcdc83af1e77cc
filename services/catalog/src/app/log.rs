//! Reading a log of the central database whose rows become visible out of their order.

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::Tail;
use crate::store::StoreError;

/// Gaps that are looked at again at once; the lowest come first.
const GAPS_AT_ONCE: usize = 1_000;

/// What a look at a log has shown.
pub(super) struct Look<Row> {
    /// In their order, each with the position to go on from after it.
    pub(super) rows: Vec<(Row, i64)>,
    /// Whether there was no more.
    pub(super) is_last: bool,
}

/// Reads on from a tail, a page at most: what has appeared in its gaps, and what is new.
///
/// In one statement, which sees the log as it is at one moment. A row that another one depends on was committed before
/// it, so that it is never read after it: rows of one company stay in their order. That is also why nothing new is read
/// while there are more gaps than can be looked at.
pub(super) async fn look<Row, Read: Future<Output = Result<Vec<Row>, StoreError>>>(
    tail: &mut Tail,
    page: usize,
    (now, patience): (DateTime<Utc>, TimeDelta),
    read: impl FnOnce(Vec<RangeInclusive<i64>>, u64) -> Read,
    sequence: impl Fn(&Row) -> i64,
) -> Result<Look<Row>, StoreError> {
    let mut ranges: Vec<_> = tail.gaps().take(GAPS_AT_ONCE + 1).collect();
    if ranges.len() <= GAPS_AT_ONCE {
        ranges.push(tail.head() + 1..=i64::MAX);
    } else {
        ranges.truncate(GAPS_AT_ONCE);
    }
    let read = read(ranges, page as u64).await?;
    let is_last = read.len() < page;
    let mut rows = Vec::with_capacity(read.len());
    for row in read {
        if tail.note(sequence(&row), now) {
            rows.push((row, tail.position()));
        }
    }
    tail.give_up(now, patience);
    Ok(Look { rows, is_last })
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    const PAGE: usize = 1_000;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
    }

    /// The committed rows of a log.
    async fn read_on(tail: &mut Tail, second: i64, log: &[i64]) -> (Vec<(i64, i64)>, bool) {
        let read = |ranges: Vec<RangeInclusive<i64>>, limit: u64| {
            let seen = log.iter().copied().filter(|row| ranges.iter().any(|range| range.contains(row)));
            ready(Ok(seen.take(limit as usize).collect::<Vec<_>>()))
        };
        let look = look(tail, PAGE, (at(second), TimeDelta::seconds(10)), read, |row| *row).await.expect("a look");
        (look.rows, look.is_last)
    }

    #[tokio::test]
    async fn a_late_row_comes_before_what_it_may_have_led_to() {
        let mut tail = Tail::at(0);
        assert_eq!(read_on(&mut tail, 0, &[1, 3]).await, (vec![(1, 1), (3, 1)], true));
        // 2 was committed, and then 4 because of it.
        assert_eq!(read_on(&mut tail, 1, &[1, 2, 3, 4, 6]).await, (vec![(2, 3), (4, 4), (6, 4)], true));
        // 5 never comes: it was rolled back.
        assert_eq!(read_on(&mut tail, 11, &[1, 2, 3, 4, 6]).await, (vec![], true));
        assert_eq!(tail.position(), 6);
    }

    #[tokio::test]
    async fn nothing_new_is_read_while_there_are_too_many_gaps() {
        let mut tail = Tail::at(0);
        let odd: Vec<i64> = (1..=GAPS_AT_ONCE as i64 + 1).map(|n| 2 * n).collect();
        for chunk in odd.chunks(PAGE) {
            read_on(&mut tail, 0, chunk).await;
        }
        let last = *odd.last().expect("rows");
        assert_eq!(tail.gaps().count(), GAPS_AT_ONCE + 1);
        assert_eq!(read_on(&mut tail, 1, &[last + 1]).await, (vec![], true));
        // One gap less, and there is room.
        assert_eq!(read_on(&mut tail, 1, &[1, last + 1]).await, (vec![(1, 2)], true));
        assert_eq!(read_on(&mut tail, 1, &[last + 1]).await.0, [(last + 1, 2)]);
    }

    #[tokio::test]
    async fn a_full_page_is_not_the_last() {
        let mut tail = Tail::at(0);
        let log: Vec<i64> = (1..=PAGE as i64 + 1).collect();
        assert!(!read_on(&mut tail, 0, &log).await.1);
        assert_eq!(read_on(&mut tail, 0, &log).await, (vec![(PAGE as i64 + 1, PAGE as i64 + 1)], true));
    }
}

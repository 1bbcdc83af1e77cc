//! When a signing key is made, begins to sign, stops, and goes. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::entity::prelude::*;
use tenantry_ids::KeyId;

/// Where a key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
pub(crate) enum KeyState {
    /// Published, so that verifiers know it before the first token of it comes.
    #[sea_orm(string_value = "next")]
    Next,
    /// Signs.
    #[sea_orm(string_value = "current")]
    Current,
    /// Signs no more, and is published until no token of it can be about.
    #[sea_orm(string_value = "retiring")]
    Retiring,
}

/// What is asked of the schedule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyTimes {
    /// How long a key signs; `None` where that is for somebody to decide.
    pub(crate) period: Option<TimeDelta>,
    /// How long a key is published before it signs.
    pub(crate) overlap: TimeDelta,
    /// How long a key is published after it has signed for the last time.
    pub(crate) kept: TimeDelta,
}

/// A key, as far as the schedule goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyFacts {
    pub(crate) id: KeyId,
    pub(crate) state: KeyState,
    /// Since when it signs, or from when on.
    pub(crate) signs_from: DateTime<Utc>,
    /// When a retiring one goes.
    pub(crate) goes_at: Option<DateTime<Utc>>,
    /// An imported key was chosen by somebody, and is replaced by what they choose next: not by the schedule.
    pub(crate) imported: bool,
}

/// A change that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyChange {
    /// A key is made.
    Make { state: KeyState, signs_from: DateTime<Utc> },
    /// The next key signs from now on, and the current one retires.
    Promote { next: KeyId },
    /// A key retires.
    Retire { id: KeyId, goes_at: DateTime<Utc> },
    /// A key goes.
    Remove { id: KeyId },
}

/// What is due now, in its order. Applied, it leaves nothing due.
pub(crate) fn due(keys: &[KeyFacts], now: DateTime<Utc>, times: &KeyTimes) -> Vec<KeyChange> {
    let mut changes = Vec::new();
    let one = |state| keys.iter().rfind(|key| key.state == state);
    let (current, next) = (one(KeyState::Current), one(KeyState::Next));
    match (current, next) {
        (None, None) => changes.push(KeyChange::Make { state: KeyState::Current, signs_from: now }),
        (None, Some(next)) => changes.push(KeyChange::Promote { next: next.id }),
        (Some(current), Some(next)) if next.signs_from <= now => {
            changes.push(KeyChange::Retire { id: current.id, goes_at: now + times.kept });
            changes.push(KeyChange::Promote { next: next.id });
        }
        (Some(current), None) => {
            let ends = times.period.filter(|_| !current.imported).map(|period| current.signs_from + period);
            if let Some(ends) = ends.filter(|ends| *ends - times.overlap <= now) {
                changes.push(KeyChange::Make { state: KeyState::Next, signs_from: ends.max(now + times.overlap) });
            }
        }
        (Some(_), Some(_)) => {}
    }
    let gone = keys.iter().filter(|key| key.state == KeyState::Retiring && key.goes_at.is_none_or(|at| at <= now));
    changes.extend(gone.map(|key| KeyChange::Remove { id: key.id }));
    changes
}

#[cfg(test)]
mod tests {
    use tenantry_ids::{IdSource, SystemIds};

    use super::*;

    const TIMES: KeyTimes = KeyTimes {
        period: Some(TimeDelta::seconds(100)),
        overlap: TimeDelta::seconds(10),
        kept: TimeDelta::seconds(20),
    };

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
    }

    /// Does what is due until nothing is; how many keys there are of each state then.
    fn step(keys: &mut Vec<KeyFacts>, now: DateTime<Utc>, times: &KeyTimes) -> [usize; 3] {
        for _ in 0..4 {
            for change in due(keys, now, times) {
                match change {
                    KeyChange::Make { state, signs_from } => {
                        let id = KeyId(SystemIds.uuid());
                        keys.push(KeyFacts { id, state, signs_from, goes_at: None, imported: false });
                    }
                    KeyChange::Promote { next } => {
                        let key = keys.iter_mut().find(|key| key.id == next).expect("the next one");
                        (key.state, key.signs_from) = (KeyState::Current, now);
                    }
                    KeyChange::Retire { id, goes_at } => {
                        let key = keys.iter_mut().find(|key| key.id == id).expect("the current one");
                        (key.state, key.goes_at) = (KeyState::Retiring, Some(goes_at));
                    }
                    KeyChange::Remove { id } => keys.retain(|key| key.id != id),
                }
            }
        }
        assert_eq!(due(keys, now, times), []);
        [KeyState::Next, KeyState::Current, KeyState::Retiring]
            .map(|state| keys.iter().filter(|key| key.state == state).count())
    }

    #[test]
    fn a_key_is_announced_signs_retires_and_goes() {
        let mut keys = Vec::new();
        let seen = [0, 89, 90, 99, 100, 119, 120, 189, 190].map(|second| step(&mut keys, at(second), &TIMES));
        let [alone, announced, both] = [[0, 1, 0], [1, 1, 0], [0, 1, 1]];
        assert_eq!(seen, [alone, alone, announced, announced, both, both, alone, alone, announced]);
    }

    /// Whenever somebody looks: there is one that signs, and it was announced for the overlap unless it is the first.
    #[test]
    fn no_key_signs_that_was_not_announced_however_late_somebody_looks() {
        let mut keys = Vec::new();
        let mut seen = std::collections::HashMap::new();
        let mut second = 0;
        for pause in [1, 7, 200, 3, 9, 11, 95, 500, 2, 10, 10, 10, 90].into_iter().cycle().take(300) {
            second += pause;
            let counts = step(&mut keys, at(second), &TIMES);
            assert_eq!(counts[1], 1);
            assert!(counts[0] <= 1 && counts[2] <= 2, "{counts:?}");
            for key in &keys {
                let first = *seen.entry(key.id).or_insert(second);
                assert!(key.state != KeyState::Current || first == 1 || second - first >= 10);
            }
        }
        assert!(seen.len() > 20);
    }

    #[test]
    fn an_imported_key_and_no_period_stay_and_an_orphan_is_promoted() {
        let key = |state, imported| KeyFacts {
            id: KeyId(SystemIds.uuid()),
            state,
            signs_from: at(0),
            goes_at: None,
            imported,
        };
        assert_eq!(due(&[key(KeyState::Current, true)], at(10_000), &TIMES), []);
        let never = KeyTimes { period: None, ..TIMES };
        assert_eq!(due(&[key(KeyState::Current, false)], at(10_000), &never), []);
        let orphan = key(KeyState::Next, false);
        assert_eq!(due(&[orphan], at(0), &TIMES), [KeyChange::Promote { next: orphan.id }]);
        assert_eq!(due(&[], at(0), &TIMES).len(), 1);
    }
}

//! Where a test makes a service crash, fail or do a thing twice: `TENANTRY_FAILPOINTS=seed:after=crash,…`. Compiled in
//! by the feature `failpoints`, which no image has; without it nothing here does anything.

use crate::Error;

/// Passes a point, unless it crashes there, as a process does that is killed, or fails, once in a process.
pub fn reach(point: &str) -> Result<(), Error> {
    match armed::at(point) {
        None | Some(Action::Twice) => Ok(()),
        // No destructor runs and nothing is flushed.
        Some(Action::Crash) => std::process::abort(),
        Some(Action::Fail) => Err(Error::internal(format!("the failpoint {point}"))),
    }
}

/// Passes a point where there is nothing to fail: it can only crash.
pub fn pass(point: &str) {
    if armed::at(point) == Some(Action::Crash) {
        std::process::abort();
    }
}

/// Whether what comes next is to be done twice, once in a process.
pub fn is_twice(point: &str) -> bool {
    armed::at(point) == Some(Action::Twice)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "failpoints"), allow(dead_code))]
enum Action {
    Crash,
    Fail,
    Twice,
}

#[cfg(not(feature = "failpoints"))]
mod armed {
    pub(super) fn at(_: &str) -> Option<super::Action> {
        None
    }
}

#[cfg(feature = "failpoints")]
mod armed {
    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex, PoisonError};

    use super::Action;

    #[allow(clippy::disallowed_methods)] // No configuration: a test's alone.
    static POINTS: LazyLock<Mutex<HashMap<String, Action>>> =
        LazyLock::new(|| Mutex::new(parse(&std::env::var("TENANTRY_FAILPOINTS").unwrap_or_default())));

    pub(super) fn at(point: &str) -> Option<Action> {
        POINTS.lock().unwrap_or_else(PoisonError::into_inner).remove(point)
    }

    fn parse(text: &str) -> HashMap<String, Action> {
        let pairs = text.split(',').filter_map(|pair| pair.rsplit_once('='));
        let action = |name| match name {
            "crash" => Some(Action::Crash),
            "fail" => Some(Action::Fail),
            "twice" => Some(Action::Twice),
            _ => None,
        };
        pairs.filter_map(|(point, name)| Some((point.to_owned(), action(name)?))).collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_point_has_a_colon_and_an_action_comes_last() {
            let points = parse("seed:after=crash,prepare:storage:before=fail,x:y=nothing,");
            let mut found: Vec<_> = points.into_iter().collect();
            found.sort_by(|one, other| one.0.cmp(&other.0));
            let found: Vec<_> = found.iter().map(|(point, action)| (point.as_str(), *action)).collect();
            assert_eq!(found, [("prepare:storage:before", Action::Fail), ("seed:after", Action::Crash)]);
        }
    }
}

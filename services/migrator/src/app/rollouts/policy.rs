//! Which databases, and how to go about it.

use std::collections::HashSet;
use std::time::Duration;

use tenantry_ids::CompanyId;

use crate::store::claims::{Claim, Wanted};

/// Failures that a rollout bears where nobody says how many: so many of a hundred, and at least one.
const DEFAULT_BUDGET: Amount = Amount::Percent(5);

/// A number of targets, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    Count(i32),
    Percent(i32),
}

impl Amount {
    /// Of so many, rounded up.
    pub(crate) fn of(self, total: usize) -> usize {
        match self {
            Amount::Count(count) => usize::try_from(count).unwrap_or(0).min(total),
            Amount::Percent(percent) => (total * usize::try_from(percent).unwrap_or(0)).div_ceil(100).min(total),
        }
    }
}

/// How a rollout goes about it.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) canary: Option<Amount>,
    pub(crate) soak: Duration,
    pub(crate) parallelism: i32,
    pub(crate) parallelism_per_server: i32,
    pub(crate) failure_budget: Option<Amount>,
    pub(crate) max_attempts: i32,
    pub(crate) verify: bool,
}

impl Policy {
    /// Failures that are borne, of so many targets.
    pub(crate) fn budget(&self, targets: usize) -> usize {
        match self.failure_budget {
            Some(amount) => amount.of(targets),
            None => DEFAULT_BUDGET.of(targets).max(1),
        }
    }

    /// Targets of the first of two waves; none when there is one wave.
    pub(crate) fn canary_of(&self, targets: usize) -> usize {
        let canary = self.canary.map_or(0, |amount| amount.of(targets));
        if canary >= targets { 0 } else { canary }
    }
}

/// Which databases. Every part narrows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    pub(crate) companies: Option<HashSet<CompanyId>>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) wanted: Wanted,
    pub(crate) skip: HashSet<CompanyId>,
}

impl Selector {
    /// Whether it takes this database, as far as the migrator itself can tell.
    pub(crate) fn takes(&self, claim: &Claim) -> bool {
        let named = self.companies.as_ref().is_none_or(|companies| companies.contains(&claim.company_id));
        named && !self.skip.contains(&claim.company_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(canary: Option<Amount>, failure_budget: Option<Amount>) -> Policy {
        let soak = Duration::ZERO;
        Policy {
            canary,
            soak,
            parallelism: 8,
            parallelism_per_server: 8,
            failure_budget,
            max_attempts: 3,
            verify: false,
        }
    }

    #[test]
    fn a_share_is_rounded_up_and_never_more_than_all() {
        assert_eq!(Amount::Percent(1).of(10), 1);
        assert_eq!(Amount::Percent(50).of(3), 2);
        assert_eq!(Amount::Percent(0).of(10), 0);
        assert_eq!(Amount::Count(20).of(10), 10);
        assert_eq!(Amount::Count(-1).of(10), 0);
    }

    #[test]
    fn a_canary_of_everything_is_no_canary() {
        assert_eq!(policy(Some(Amount::Percent(100)), None).canary_of(10), 0);
        assert_eq!(policy(Some(Amount::Count(2)), None).canary_of(10), 2);
        assert_eq!(policy(None, None).canary_of(10), 0);
    }

    #[test]
    fn without_a_budget_one_failure_is_borne_and_with_none_not_even_that() {
        assert_eq!(policy(None, None).budget(3), 1);
        assert_eq!(policy(None, None).budget(1_000), 50);
        assert_eq!(policy(None, Some(Amount::Count(0))).budget(1_000), 0);
    }
}

//! Flags of a rollout.

use std::str::FromStr;

use clap::Args;
use tenantry_api::migrator::v1::amount::Amount as Wire;
use tenantry_api::migrator::v1::{Amount, RolloutPolicy};

/// So many, or a share: `5`, or `10%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AmountFlag(Wire);

impl FromStr for AmountFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither a number, like 5, nor a share, like 10%");
        match text.strip_suffix('%') {
            Some(percent) => {
                let percent: i32 = percent.parse().map_err(|_| wrong())?;
                if (0..=100).contains(&percent) { Ok(Self(Wire::Percent(percent))) } else { Err(wrong()) }
            }
            None => {
                text.parse().ok().filter(|count| *count >= 0).map(|count| Self(Wire::Count(count))).ok_or_else(wrong)
            }
        }
    }
}

impl AmountFlag {
    pub(crate) fn message(self) -> Amount {
        Amount { amount: Some(self.0) }
    }
}

/// How a rollout goes about it.
#[derive(Args, Default)]
pub(crate) struct PolicyFlags {
    /// Databases at once, over all servers.
    #[arg(long, value_name = "N", default_value_t = 8)]
    parallel: i32,

    /// Databases at once on one server. Without it: as --parallel.
    #[arg(long, value_name = "N", default_value_t = 0)]
    parallel_per_server: i32,

    /// A first wave of so many, or of a share, like 5%.
    #[arg(long, value_name = "N|N%")]
    canary: Option<AmountFlag>,

    /// How long to wait after the first wave, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, requires = "canary")]
    soak_s: u32,

    /// More failures than these, or than this share, halt the rollout. Without it: 5%, and at least one.
    #[arg(long, value_name = "N|N%")]
    max_failures: Option<AmountFlag>,

    /// How often a database is tried when trying again can help.
    #[arg(long, value_name = "N", default_value_t = 3)]
    max_attempts: i32,

    /// Reads every ledger instead of believing the recorded versions.
    #[arg(long)]
    verify: bool,
}

impl PolicyFlags {
    pub(crate) fn message(&self) -> RolloutPolicy {
        RolloutPolicy {
            canary: self.canary.map(AmountFlag::message),
            soak: Some(prost_types::Duration { seconds: self.soak_s.into(), nanos: 0 }),
            parallelism: self.parallel,
            parallelism_per_server: self.parallel_per_server,
            failure_budget: self.max_failures.map(AmountFlag::message),
            max_attempts: self.max_attempts,
            verify: self.verify,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_a_number_or_a_share() {
        assert_eq!("5".parse(), Ok(AmountFlag(Wire::Count(5))));
        assert_eq!("10%".parse(), Ok(AmountFlag(Wire::Percent(10))));
        for wrong in ["", "-1", "101%", "%", "five", "1.5"] {
            assert!(wrong.parse::<AmountFlag>().is_err(), "{wrong}");
        }
    }
}

//! How many transfers are under way: each is work and memory for minutes, where a call is for milliseconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tenantry_ids::CompanyId;
use tenantry_rpc::{Error, Reason};

use super::TransferConfig;

/// When whoever is refused may come again: how long those under way take is not known.
const AGAIN: Duration = Duration::from_secs(5);

/// Lets so many begin.
#[derive(Debug)]
pub(crate) struct Turns {
    most: u32,
    most_of_one: u32,
    under_way: Mutex<HashMap<CompanyId, u32>>,
}

/// A transfer that is under way, until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Arc<Turns>, CompanyId);

impl Turns {
    pub(crate) fn new(config: &TransferConfig) -> Self {
        let (most, most_of_one) = (config.transfers_at_once, config.transfers_at_once_per_company);
        Self { most, most_of_one, under_way: Mutex::default() }
    }

    pub(crate) fn begin(self: &Arc<Self>, company: CompanyId) -> Result<Turn, Error> {
        let mut under_way = self.under_way();
        if under_way.get(&company).is_some_and(|own| *own >= self.most_of_one) {
            let message = "the company has more imports and exports under way than it may; try again after one of them";
            return Err(Error::new(Reason::ConcurrencyLimited, message).retry_after(AGAIN));
        }
        if under_way.values().sum::<u32>() >= self.most {
            let message = "too many imports and exports at once; try again later";
            return Err(Error::new(Reason::Overloaded, message).retry_after(AGAIN));
        }
        *under_way.entry(company).or_default() += 1;
        Ok(Turn(self.clone(), company))
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<CompanyId, u32>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut under_way = self.0.under_way();
        if let Some(own) = under_way.get_mut(&self.1) {
            *own -= 1;
            if *own == 0 {
                under_way.remove(&self.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn as_many_begin_as_may_of_all_and_of_one_and_one_more_when_one_ends() {
        let config = TransferConfig { transfers_at_once: 3, transfers_at_once_per_company: 2, ..Default::default() };
        let turns = Arc::new(Turns::new(&config));
        let begin = |company| turns.begin(CompanyId(Uuid::from_u128(company))).map_err(|error| error.reason());
        let (first, second) = (begin(1), begin(1));
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(begin(1).err(), Some(Reason::ConcurrencyLimited));
        let third = begin(2);
        assert!(third.is_ok());
        assert_eq!(begin(3).err(), Some(Reason::Overloaded));
        drop(first);
        assert!(begin(3).is_ok());
        drop((second, third));
        assert!(turns.under_way().is_empty());
    }
}

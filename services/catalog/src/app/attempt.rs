//! Transactions that begin anew when somebody else was faster.

use std::time::Duration;

use tenantry_rpc::{Error, Reason};

use crate::store::StoreError;

/// How often a use case begins anew after somebody else changed what it had read. Each time it then reads the change.
const ATTEMPTS: usize = 4;

/// Why an attempt did not succeed.
pub(super) enum Attempt {
    /// Somebody else was faster.
    Again,
    Failed(Error),
}

impl From<Error> for Attempt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for Attempt {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Taken(_) | StoreError::Collided(_) => Self::Again,
            StoreError::Unavailable(_) | StoreError::Full(_) | StoreError::Database(_) => Self::Failed(error.into()),
        }
    }
}

/// Repeats `attempt` while somebody else is faster.
pub(super) async fn repeat<T, F: Future<Output = Result<T, Attempt>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<T, Error> {
    for _ in 0..ATTEMPTS {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(Attempt::Again) => {}
            Err(Attempt::Failed(error)) => return Err(error),
        }
    }
    Err(Error::new(Reason::Overloaded, "others change the same company at this moment; try again")
        .retry_after(Duration::from_millis(100)))
}

//! What every user of a database has in common: what a failure means, and a
//! service's own database.

mod failure;
mod own;
mod traced;

pub use failure::{
    Failure, driver, is_conflict, is_crowded, is_disk_full, is_missing_database, is_refusal, is_servers_failure,
    is_unavailable,
};
pub use own::{StoreError, open};
pub use traced::traced;

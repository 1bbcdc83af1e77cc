//! The use cases, one async function each. A use case owns its transaction.

mod act;
mod addresses;
mod appliances;
mod debts;
pub(crate) mod devices;
mod error;
mod manufacturers;
pub(crate) mod payments;
pub(crate) mod people;
mod places;
pub(crate) mod sales;
pub(crate) mod search;
pub(crate) mod sms;
pub(crate) mod standard;
mod tariffs;
mod ticket_categories;
pub(crate) mod tickets;
pub(crate) mod trail;
pub(crate) mod transfers;

use std::sync::Arc;

use act::Act;
pub(crate) use act::Replay;
pub(crate) use error::CrmError;
pub(crate) use standard::{Change, Standard};
use tenantry_ids::IdSource;
use tenantry_rpc::Clock;

/// What use cases work with, besides the tenant's database.
pub(crate) struct App {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) transfers: transfers::TransferConfig,
    pub(crate) turns: Arc<transfers::Turns>,
}

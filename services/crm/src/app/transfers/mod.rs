//! Many people at once, in and out.

mod company;
mod config;
mod export;
mod import;
mod turns;

pub(crate) use company::{CompanyExport, Whole};
pub use config::TransferConfig;
pub(crate) use export::{PeopleExport, WithAddresses};
pub(crate) use import::{Done, How, Mode, Row, RowFlaws, Told, Upload, import};
pub(crate) use turns::Turns;

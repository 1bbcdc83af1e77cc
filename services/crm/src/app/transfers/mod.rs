//! Many people at once, in and out.

mod config;
mod export;
mod import;
mod turns;

pub use config::TransferConfig;
pub(crate) use export::{PeopleExport, WithAddresses};
pub(crate) use import::{Done, How, Mode, Row, RowFlaws, Told, Upload, import};
pub(crate) use turns::Turns;

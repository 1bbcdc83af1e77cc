//! What the things of a CRM are. Pure: no I/O, no clock.

mod address;
mod content;
mod fields;
mod person;
mod place;

pub(crate) use address::{Address, email, phone};
pub(crate) use content::{Content, Mask, Stored, Thing, Writable};
pub(crate) use fields::Fields;
pub(crate) use person::{PersonKind, Profile};
pub(crate) use place::{Place, PlaceKind, country_code};

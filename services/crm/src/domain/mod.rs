//! What a person is. Pure: no I/O, no clock.

mod person;

pub(crate) use person::{PersonField, PersonKind, Profile};

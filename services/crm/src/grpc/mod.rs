//! The gRPC face: each handler parses, calls a use case, and converts.

mod addresses;
mod people;
mod places;
mod standard;

pub(crate) use addresses::AddressGrpc;
pub(crate) use people::PersonGrpc;
pub(crate) use places::PlaceGrpc;

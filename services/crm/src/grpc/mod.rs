//! The gRPC face: each handler parses, calls a use case, and converts.

mod convert;
mod people;

pub(crate) use people::PersonGrpc;

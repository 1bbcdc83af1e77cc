//! The contract: generated messages, clients and servers, the descriptor set,
//! and the access rule of every RPC.
//!
//! To add an RPC, write it into `proto/` with its access option and its errors;
//! this crate compiles it, reflection serves it, and [`access::AccessRules`]
//! knows who may call it.

pub mod access;
pub mod codec;

#[allow(unreachable_pub, clippy::all, rust_2018_idioms)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/modules.rs"));
}

pub use generated::tenantry::{catalog, crm, lifecycle, migrator, options};

/// Every message and service, with the files they import, as an encoded
/// `google.protobuf.FileDescriptorSet` with source information.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

/// The largest message that a service takes or a client reads, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

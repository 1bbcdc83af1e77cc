//! The contract: generated messages, clients and servers, the descriptor set,
//! and the access rule of every RPC.
//!
//! To add an RPC, write it into `proto/` with its access option and its errors;
//! this crate compiles it, reflection serves it, and [`access::AccessRules`]
//! knows who may call it.

pub mod access;
pub mod codec;

/// Takes in what `tenantry_build` made of a crate's protos: the module `generated`, and
/// [`DESCRIPTORS`](crate::DESCRIPTORS) of its own.
#[macro_export]
macro_rules! contract {
    () => {
        #[allow(unreachable_pub, clippy::all, rust_2018_idioms)]
        mod generated {
            include!(concat!(env!("OUT_DIR"), "/modules.rs"));
        }

        /// Every message and service, with the files they import, as an encoded
        /// `google.protobuf.FileDescriptorSet` with source information.
        pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));
    };
}

contract!();

/// [`DESCRIPTORS`] without source information.
const BARE_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bare_descriptors.binpb"));

pub use generated::tenantry::{catalog, crm, lifecycle, migrator, options};

/// The largest message that a service takes or a client reads, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

//! How long calls take, and how they end: `rpc.server.call.duration`,
//! `rpc.client.call.duration` and the spans of calls of OpenTelemetry's semantic
//! conventions for RPC, 1.40. Attributes are made once for each method and code, and every method is
//! one that the contract has: what strangers make up is one value.

mod client;
mod ending;
mod method;
mod server;
mod span;

pub(crate) use client::Peer;
pub use client::ServiceChannel;
pub(crate) use ending::{Call, Watch};
pub(crate) use server::Measure;
pub(crate) use span::CallSpan;

//! How long calls take, and how they end: `rpc.server.call.duration` and
//! `rpc.client.call.duration` of OpenTelemetry's semantic conventions for RPC,
//! 1.40. Attributes are made once for each method and code, and every method is
//! one that the contract has: what strangers make up is one value.

mod client;
mod ending;
mod method;
mod server;

pub use client::ServiceChannel;
pub(crate) use server::Measure;

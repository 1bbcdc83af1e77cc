//! What every service of ours is made of: the server with its ordered layers,
//! the context of a call, the closed set of errors, tokens, and the client that
//! carries deadline, trace and identity over every hop.
//!
//! To write a service: implement the generated trait, open each request with
//! [`Call::open`], return [`Error`], and register it with
//! [`server::ServerBuilder::service`]. Reflection, health, drain, tracing, deadlines
//! and access control come with the registration.

pub mod access;
pub mod auth;
pub mod client;
mod clock;
pub mod command;
mod context;
pub mod credentials;
mod error;
pub mod failpoint;
mod layers;
mod lifecycle;
mod measure;
mod origin;
pub mod paging;
pub mod probe;
pub mod server;
pub mod streaming;
pub mod tls;
mod validation;

pub use clock::{Clock, SystemClock};
pub use context::{Call, Caller, Context, OperatorClaims, Person, UserClaims};
pub use error::{Error, FieldViolation, Kind, Reason, reason_of};
pub use layers::{HttpRequest, HttpResponse, Middleware, Next};
pub use lifecycle::{Shutdown, StopSignals};
pub use origin::{Origin, current_origin};
pub use validation::{Violations, parse_field};

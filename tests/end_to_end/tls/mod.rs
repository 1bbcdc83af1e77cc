//! TLS as an operator sets it up: callers who prove themselves by certificates, and certificates that are replaced while
//! a service is at work.

mod identities;
mod pki;

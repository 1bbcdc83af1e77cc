//! What the tests stand on: real database servers that nobody has to install by hand, and that leave nothing behind.
//!
//! [`servers`] starts throwaway PostgreSQL and MariaDB servers. `cargo xtask test` starts one of each for the whole
//! suite; a test that must stop or crash a server starts its own.
//!
//! [`zipf`] draws who is wanted, as in real traffic.
//!
//! `sandbox` (a feature, since it needs the services) runs all three services in the test's process on port 0, on an
//! engine of the test's choice; `actors` are those who call them; `process` runs our programs as an operator does.

#[cfg(feature = "sandbox")]
pub mod actors;
#[cfg(feature = "sandbox")]
pub mod process;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod servers;
pub mod zipf;

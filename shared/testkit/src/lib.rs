//! What the tests stand on: real database servers that nobody has to install by hand, and that leave nothing behind.
//!
//! [`servers`] starts throwaway PostgreSQL and MariaDB servers. `cargo xtask test` starts one of each for the whole
//! suite; a test that must stop or crash a server starts its own.

pub mod servers;

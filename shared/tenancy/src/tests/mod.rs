//! The crate against real databases.
//!
//! Modules are named for the engine that they need, so that a run can choose.
//! A missing server fails its tests: a test that is skipped proves nothing.

mod budget;
mod cases;
mod links;
mod mariadb;
mod postgres;
mod proxy;
mod sqlite;
mod support;

//! Everything at once: three services, real databases, real clients. One binary, so that the services are linked once.
//!
//! A test of [`per_engine!`] runs on SQLite, PostgreSQL and MariaDB, in a sandbox of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)] // These are tests throughout.

mod addresses;
mod adoptions;
mod appliances;
mod architecture;
mod beside;
mod clients;
mod companies;
mod compose;
mod crashes;
mod crossings;
mod cut_off;
mod databases;
mod devices;
mod drift;
mod envoy;
mod events;
mod finding;
mod hooks;
mod issuers;
mod keys;
mod kubernetes;
mod lifecycle;
mod limits;
mod logs;
mod machines;
mod matrix;
mod metrics;
mod migrations;
mod passwords;
mod payments;
mod people;
mod placement;
mod places;
mod plugins;
mod processes;
mod reconciliation;
mod rollouts;
mod rotations;
mod server;
mod sessions;
mod sms;
mod spares;
mod standing;
mod support;
mod throttle;
mod tickets;
mod tls;
mod traces;
mod trail;
mod transfers;
mod web;

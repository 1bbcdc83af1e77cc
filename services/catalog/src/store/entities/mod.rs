//! The tables of the central database, a module each, as the central migration
//! set makes them.

#![allow(unreachable_pub)] // The derive wants its models public.

pub(crate) mod api_key;
pub(crate) mod company;
pub(crate) mod company_database;
pub(crate) mod company_plugin;
pub(crate) mod credential_rotation;
pub(crate) mod database_server;
pub(crate) mod event;
pub(crate) mod event_removal;
pub(crate) mod familiar_address;
pub(crate) mod invitation;
pub(crate) mod issuer;
pub(crate) mod issuer_company;
pub(crate) mod issuer_user;
pub(crate) mod key_ring;
pub(crate) mod membership;
pub(crate) mod operator;
pub(crate) mod password_reset;
pub(crate) mod plan;
pub(crate) mod plugin;
pub(crate) mod provisioning_lease;
pub(crate) mod provisioning_step;
pub(crate) mod session;
pub(crate) mod sign_in_failure;
pub(crate) mod signing_key;
pub(crate) mod tenant_change;
pub(crate) mod user;

//! What a company, its life, an owner and a role are. Pure: no I/O, no clock.

mod company;
mod email;
mod events;
mod issuer;
mod keys;
mod labels;
mod lifecycle;
mod limits;
mod placement;
mod roles;
mod steps;
mod tail;
mod tenant_services;
mod throttle;

pub(crate) use company::{CompanyName, Slug, SlugChoice};
pub(crate) use email::Email;
pub(crate) use events::{is_told_from_where, shown_to_members};
pub(crate) use issuer::{IssuerUrl, KeyHost, PlainHttp};
pub(crate) use keys::{KeyChange, KeyFacts, KeyState, KeyTimes, due};
pub(crate) use labels::{Labels, Selector};
pub(crate) use lifecycle::{Action, Refusal, Standing, State, Transition, transition};
pub(crate) use limits::Limits;
pub(crate) use placement::{Place, ServerState, Unplaced, places};
pub(crate) use roles::{DELEGABLE, OPERATOR_SCOPES, Role};
pub(crate) use steps::{Step, Turn, Work};
pub(crate) use tail::Tail;
pub(crate) use tenant_services::TenantServices;
pub(crate) use throttle::{Failures, Limit};

use tenantry_rpc::Violations;

/// The shortest password (NIST SP 800-63B asks for 8, and for 15 where it is the only factor).
const MIN_PASSWORD_CHARS: usize = 12;
/// The longest one: hashing must not become an attack.
const MAX_PASSWORD_CHARS: usize = 128;

/// Checks a new password. Any character counts, spaces among them; no rules of
/// composition (NIST SP 800-63B, section 5.1.1.2).
pub(crate) fn check_password(violations: &mut Violations, field: &str, password: &str) {
    let chars = password.chars().count();
    violations.check(
        (MIN_PASSWORD_CHARS..=MAX_PASSWORD_CHARS).contains(&chars),
        field,
        "must have 12 to 128 characters",
    );
}

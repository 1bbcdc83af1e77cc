//! Whoever guesses passwords waits, and nobody else for long.
//!
//! Failures are counted before the password is compared, so that a thousand at once count a thousand, and taken back
//! when it was right. Three counts: of an account from an address, of an account from all addresses that it was never
//! signed in from, and of an address over all accounts. Who signs in from where they have before is not held up by
//! what others do to their account from elsewhere: that is what keeps a lockout from locking its owner out.

use std::net::IpAddr;

use chrono::TimeDelta;
use serde_json::json;
use tenantry_ids::{EventId, UserId};
use tenantry_rpc::{Context, Error, Reason};

use super::App;
use super::attempt::{Attempt, repeat};
use crate::domain::{Failures, Limit};
use crate::secrets::Credential;
use crate::store::{events, throttle as store};

/// How guessing is slowed down.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Sign-in throttling")]
pub struct ThrottleSettings {
    /// Failures of an account from one address that cost nothing. Then each doubles the wait, from a second on.
    #[arg(long, env = "CATALOG_SIGN_IN_FAILURES", default_value_t = 5, value_parser = clap::value_parser!(i32).range(1..=1_000_000))]
    pub sign_in_failures: i32,

    /// Failures of an account from all addresses that it was never signed in from, which cost nothing.
    #[arg(long, env = "CATALOG_SIGN_IN_FAILURES_PER_ACCOUNT", default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=1_000_000))]
    pub sign_in_failures_per_account: i32,

    /// Failures from one address, whatever the account, which cost nothing. Behind a proxy all come from one address
    /// unless TENANTRY_TRUSTED_HOPS says otherwise.
    #[arg(long, env = "CATALOG_SIGN_IN_FAILURES_PER_ADDRESS", default_value_t = 200, value_parser = clap::value_parser!(i32).range(1..=1_000_000))]
    pub sign_in_failures_per_address: i32,

    /// The longest wait of an address, in seconds.
    #[arg(long, env = "CATALOG_SIGN_IN_MAX_WAIT_S", default_value_t = 900, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub sign_in_max_wait_s: u32,

    /// The longest wait of an account's owner at an address that is new, whatever others do, in seconds.
    #[arg(long, env = "CATALOG_SIGN_IN_MAX_ACCOUNT_WAIT_S", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub sign_in_max_account_wait_s: u32,

    /// Failures are forgotten when none has come for so long, in seconds.
    #[arg(long, env = "CATALOG_SIGN_IN_FORGET_S", default_value_t = 3_600, value_parser = clap::value_parser!(u32).range(1..=604_800))]
    pub sign_in_forget_s: u32,

    /// An address is an account's own for so long after a sign-in, in days.
    #[arg(long, env = "CATALOG_SIGN_IN_FAMILIAR_DAYS", default_value_t = 90, value_parser = clap::value_parser!(u16).range(0..=3_650))]
    pub sign_in_familiar_days: u16,
}

impl Default for ThrottleSettings {
    fn default() -> Self {
        Self {
            sign_in_failures: 5,
            sign_in_failures_per_account: 50,
            sign_in_failures_per_address: 200,
            sign_in_max_wait_s: 900,
            sign_in_max_account_wait_s: 60,
            sign_in_forget_s: 3_600,
            sign_in_familiar_days: 90,
        }
    }
}

impl ThrottleSettings {
    fn limit(&self, free: i32, longest_s: u32) -> Limit {
        let (longest, forgotten_after) = (seconds(longest_s), seconds(self.sign_in_forget_s));
        Limit { free, longest, forgotten_after }
    }

    /// After so long a row of failures says nothing any more.
    pub(super) fn kept(&self) -> TimeDelta {
        seconds(self.sign_in_forget_s).max(seconds(self.sign_in_max_wait_s))
    }

    pub(super) fn familiar(&self) -> TimeDelta {
        TimeDelta::days(self.sign_in_familiar_days.into())
    }
}

/// Whether the password is the one of this hash; a wrong one is held against whoever has sent it. `None` takes as long
/// and is false.
pub(crate) async fn compare(
    app: &App,
    context: &Context,
    (email_key, user): (&str, Option<UserId>),
    password: &str,
    hash: Option<&str>,
) -> Result<bool, Error> {
    let counted = count(app, context, email_key).await?;
    let compared = app.passwords.verify(password, hash).await;
    if matches!(compared, Ok(false)) {
        note(app, context, &counted, user).await?;
    } else {
        // What was not compared was no guess either.
        let was_right = compared.is_ok();
        repeat(|| take_back(app, &counted, was_right)).await?;
    }
    Ok(compared?)
}

/// A try that was counted.
struct Try {
    pair: String,
    familiar: String,
    /// Each count as this try has left it, in the order of the keys.
    left: Vec<(String, Failures)>,
    /// Of what this is the first failure too many: of `account_at_address`, `account` or `address`.
    begun: Vec<&'static str>,
}

/// Counts a try, or says how long to wait. The same for accounts that there are not.
async fn count(app: &App, context: &Context, email_key: &str) -> Result<Try, Error> {
    let from = network(context.origin().map(|origin| origin.address()));
    let pair = key(&["pair", email_key, &from]);
    let account = key(&["account", email_key]);
    let address = key(&["address", &from]);
    let familiar = key(&["familiar", email_key, &from]);
    let settings = &app.settings.throttle;
    let is_familiar = store::is_familiar(&app.db, &familiar, app.now() - settings.familiar()).await?;
    let longest = settings.sign_in_max_wait_s;
    let mut counted = vec![
        (pair.clone(), "account_at_address", settings.limit(settings.sign_in_failures, longest)),
        (address, "address", settings.limit(settings.sign_in_failures_per_address, longest)),
    ];
    if !is_familiar {
        let (free, longest) = (settings.sign_in_failures_per_account, settings.sign_in_max_account_wait_s);
        counted.push((account, "account", settings.limit(free, longest)));
    }
    // In one order for everybody, so that nobody waits for each other.
    counted.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let left = repeat(|| attempt(app, &counted)).await?;
    let begun =
        counted.iter().zip(&left).filter(|((_, _, limit), (_, left))| left.count == limit.free.saturating_add(1));
    let begun = begun.map(|((_, of, _), _)| *of).collect();
    Ok(Try { pair, familiar, left, begun })
}

/// A lockout that begins is an event; the failures that lengthen it are none, or whoever guesses would fill the log. The
/// same for accounts that there are not: nobody learns by the time it takes which there are.
async fn note(app: &App, context: &Context, counted: &Try, user: Option<UserId>) -> Result<(), Error> {
    if counted.begun.is_empty() {
        return Ok(());
    }
    let event = events::NewEvent {
        id: EventId::new(&*app.ids),
        company: None,
        kind: "sign_in.locked",
        actor: &context.caller().subject(),
        payload: json!({ "user_id": user, "counted": counted.begun }),
    };
    Ok(events::append(&app.db, event, app.now()).await?)
}

async fn attempt(app: &App, counted: &[(String, &str, Limit)]) -> Result<Vec<(String, Failures)>, Attempt> {
    let now = app.now();
    let tx = app.db.begin().await?;
    let mut all = Vec::new();
    for (key, _, limit) in counted {
        all.push((key, store::lock(&tx, key, now).await?, limit));
    }
    if let Some(wait) = all.iter().filter_map(|(_, failures, _)| failures.wait(now)).max() {
        return Err(throttled(wait).into());
    }
    let mut left = Vec::new();
    for (key, failures, limit) in all {
        let failures = failures.and_one(now, limit);
        store::set(&tx, key, failures).await?;
        left.push((key.clone(), failures));
    }
    tx.commit().await?;
    Ok(left)
}

/// The try was none. When the password was right, nothing is held against who signs in there any more, and the address is
/// the account's own.
async fn take_back(app: &App, counted: &Try, was_right: bool) -> Result<(), Attempt> {
    let now = app.now();
    let tx = app.db.begin().await?;
    for (key, left) in &counted.left {
        let seen = store::lock(&tx, key, now).await?;
        let is_forgiven = was_right && *key == counted.pair;
        let count = if is_forgiven { 0 } else { (seen.count - 1).max(0) };
        // A wait that came of somebody else's failure meanwhile stays.
        let blocked_until = seen.blocked_until.filter(|_| seen != *left && !is_forgiven);
        store::set(&tx, key, Failures { count, blocked_until, ..seen }).await?;
    }
    if was_right {
        store::set_familiar(&tx, &counted.familiar, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn throttled(wait: TimeDelta) -> Error {
    let message = "too many wrong passwords; wait before you try again";
    Error::new(Reason::SignInThrottled, message).retry_after(wait.to_std().unwrap_or_default())
}

/// What an address counts as: whoever has an IPv6 address has its network.
fn network(address: Option<IpAddr>) -> String {
    match address {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => format!("{:x}/64", address.to_bits() >> 64),
        None => "unknown".to_owned(),
    }
}

/// Addresses and accounts are kept as digests: what is kept here is nobody's to read.
fn key(parts: &[&str]) -> String {
    Credential::hash_of(&parts.join("\n"))
}

fn seconds(seconds: u32) -> TimeDelta {
    TimeDelta::seconds(seconds.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_address() {
        let of = |text: &str| network(Some(text.parse().expect("an address")));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}

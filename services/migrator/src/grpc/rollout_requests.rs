//! Requests of rollouts, read.

use std::collections::HashSet;
use std::time::Duration;

use prost::Message;
use tenantry_api::migrator::v1::amount::Amount as WireAmount;
use tenantry_api::migrator::v1::{
    Amount as AmountMessage, CreateRolloutRequest, RolloutPolicy, RolloutTargetState, TargetSelector,
};
use tenantry_idempotency::{Fingerprint, Key};
use tenantry_ids::CompanyId;
use tenantry_rpc::{Context, Error, Violations};
use uuid::Uuid;

use crate::app::rollouts::{Amount, NewRollout, Policy, Selector};
use crate::store::claims::Wanted;
use crate::store::rollouts::TargetState;

/// Companies that a selector can name.
const MAX_NAMED: usize = 10_000;
/// Labels that a selector can ask for.
const MAX_LABELS: usize = 64;
/// The longest wait between two waves.
const MAX_SOAK: Duration = Duration::from_secs(30 * 24 * 3_600);
const MAX_PARALLELISM: i32 = 256;
const DEFAULT_PARALLELISM: i32 = 8;
const MAX_ATTEMPTS: i32 = 20;
const DEFAULT_ATTEMPTS: i32 = 3;

/// A key where the caller gave a `request_id`.
pub(crate) fn parse_replay(
    violations: &mut Violations,
    context: &Context,
    request_id: &str,
    body: &impl Message,
) -> Option<(Key, Fingerprint)> {
    if request_id.is_empty() {
        return None;
    }
    violations.check(Uuid::try_parse(request_id).is_ok(), "request_id", "must be a UUID, or empty");
    let key = Key {
        caller: context.caller().subject(),
        method: context.method().to_owned(),
        request_id: request_id.to_ascii_lowercase(),
    };
    Some((key, Fingerprint::of(&body.encode_to_vec())))
}

pub(crate) fn parse_creation(context: &Context, body: CreateRolloutRequest) -> Result<NewRollout, Error> {
    let mut violations = Violations::new();
    let replay = parse_replay(&mut violations, context, &body.request_id, &body).filter(|_| !body.validate_only);
    let selector = parse_selector(&mut violations, body.targets.unwrap_or_default());
    let policy = parse_policy(&mut violations, body.policy.unwrap_or_default());
    violations.finish(Some(NewRollout {
        selector,
        plugin: filled(body.plugin),
        version: filled(body.version),
        policy,
        allow_rollback: body.allow_rollback,
        validate_only: body.validate_only,
        replay,
    }))
}

fn parse_selector(violations: &mut Violations, selector: TargetSelector) -> Selector {
    let companies = parse_companies(violations, "targets.company_ids", &selector.company_ids);
    let skip = parse_companies(violations, "targets.skip_company_ids", &selector.skip_company_ids);
    violations.check(selector.labels.len() <= MAX_LABELS, "targets.labels", "must be at most 64");
    let labels = selector.labels.iter().filter_map(|label| {
        let pair = label.split_once('=').filter(|(key, _)| !key.is_empty());
        violations.check(pair.is_some(), "targets.labels", "must be written key=value");
        pair.map(|(key, value)| (key.to_owned(), value.to_owned()))
    });
    let labels = labels.collect();
    let wanted = Wanted {
        server: filled(selector.server),
        min_version: filled(selector.min_version),
        max_version: filled(selector.max_version),
    };
    let named = !selector.company_ids.is_empty();
    Selector { companies: named.then_some(companies), labels, wanted, skip }
}

fn parse_companies(violations: &mut Violations, field: &str, ids: &[String]) -> HashSet<CompanyId> {
    violations.check(ids.len() <= MAX_NAMED, field, "must be at most 10,000");
    let numbered = ids.iter().take(MAX_NAMED).enumerate();
    numbered.filter_map(|(at, id)| violations.parse(&format!("{field}[{at}]"), id)).collect()
}

pub(crate) fn parse_policy(violations: &mut Violations, policy: RolloutPolicy) -> Policy {
    let parallelism = limit(violations, "policy.parallelism", policy.parallelism, DEFAULT_PARALLELISM, MAX_PARALLELISM);
    let field = "policy.parallelism_per_server";
    let per_server = limit(violations, field, policy.parallelism_per_server, parallelism, MAX_PARALLELISM);
    let soak = policy.soak.map_or(Ok(Duration::ZERO), Duration::try_from).ok().filter(|soak| *soak <= MAX_SOAK);
    violations.check(soak.is_some(), "policy.soak", "must be between 0 and 30 days");
    Policy {
        canary: parse_amount(violations, "policy.canary", policy.canary),
        soak: soak.unwrap_or_default(),
        parallelism,
        parallelism_per_server: per_server,
        failure_budget: parse_amount(violations, "policy.failure_budget", policy.failure_budget),
        max_attempts: limit(violations, "policy.max_attempts", policy.max_attempts, DEFAULT_ATTEMPTS, MAX_ATTEMPTS),
        verify: policy.verify,
    }
}

fn limit(violations: &mut Violations, field: &str, asked: i32, default: i32, most: i32) -> i32 {
    if !(0..=most).contains(&asked) {
        violations.add(field, format!("must be between 1 and {most}, or 0 for the default"));
    }
    if asked == 0 { default } else { asked }
}

pub(crate) fn parse_amount(violations: &mut Violations, field: &str, amount: Option<AmountMessage>) -> Option<Amount> {
    match amount?.amount? {
        WireAmount::Count(count) => {
            violations.check(count >= 0, field, "must not be negative");
            Some(Amount::Count(count))
        }
        WireAmount::Percent(percent) => {
            violations.check((0..=100).contains(&percent), field, "must be between 0 and 100 percent");
            Some(Amount::Percent(percent))
        }
    }
}

pub(crate) fn parse_target_state(violations: &mut Violations, state: i32) -> Option<TargetState> {
    match RolloutTargetState::try_from(state) {
        Ok(RolloutTargetState::Unspecified) => None,
        Ok(RolloutTargetState::Pending) => Some(TargetState::Pending),
        Ok(RolloutTargetState::Running) => Some(TargetState::Running),
        Ok(RolloutTargetState::Succeeded) => Some(TargetState::Succeeded),
        Ok(RolloutTargetState::Failed) => Some(TargetState::Failed),
        Ok(RolloutTargetState::Skipped) => Some(TargetState::Skipped),
        Ok(RolloutTargetState::Cancelled) => Some(TargetState::Cancelled),
        Err(_) => {
            violations.add("state", "must be a known state");
            None
        }
    }
}

fn filled(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

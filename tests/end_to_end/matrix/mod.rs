//! The unauthorized-access matrix: every RPC of the descriptors against everybody who might try it.
//!
//! For each RPC the rightful callers come first, each with a body of their own, so that a refusal later on can only
//! be about the caller. Then one more body is refused to each wrong caller; and at the end that very body succeeds,
//! which shows that it was good and that no refused call has done anything with it.
//!
//! A new RPC needs a row in [`rows`] and nothing else. On one engine: access is decided before any database.

mod cases;
pub(crate) mod forge;
mod rows;
mod table;
mod wire;
mod world;

use anyhow::Context as _;
use serde_json::Value;
use tonic::{Code, Status};

use cases::{Body, Case, Expect};
pub(crate) use rows::{ENDS_TOKENS, body};
use table::{LAST, Outcome, Table};
use tenantry_rpc::{Kind, Reason};
pub(crate) use wire::{Bytes, Rpc, rpcs};
pub(crate) use world::World;

/// The services, which are also the names that they call each other by.
pub(crate) const SERVERS: [&str; 3] = ["catalog", "crm", "migrator"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rpc_lets_in_whom_its_rule_names_and_nobody_else() -> anyhow::Result<()> {
    let rpcs = rpcs()?;
    let mut wrong = unmatched(&rpcs);
    let mut world = World::start().await?;
    // What another company must not be shown.
    world.person().await?;
    let mut table = Table::default();
    for rpc in rpcs.iter().filter(|rpc| rows::NAMES.contains(&rpc.name.as_str())) {
        wrong.extend(try_everybody(&world, rpc, &mut table).await?);
        if rows::ENDS_TOKENS.contains(&rpc.name.as_str()) {
            world.sign_in_again().await?;
        }
    }
    println!("\n{table}\n");
    let World { sandbox, .. } = world;
    sandbox.stop().await?;
    assert!(wrong.is_empty(), "{} of these went wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// RPCs without a row, and rows without an RPC.
fn unmatched(rpcs: &[Rpc]) -> Vec<String> {
    let missing = rpcs.iter().filter(|rpc| !rows::NAMES.contains(&rpc.name.as_str()));
    let named = rows::NAMES.iter();
    let gone = named.filter(|name| !rpcs.iter().any(|rpc| rpc.name == **name));
    let missing = missing.map(|rpc| format!("add a row for {} to tests/end_to_end/matrix/rows.rs", rpc.name));
    missing.chain(gone.map(|name| format!("there is no {name} any more; remove it here"))).collect()
}

/// Every case of one RPC; what went wrong.
async fn try_everybody(world: &World, rpc: &Rpc, table: &mut Table) -> anyhow::Result<Vec<String>> {
    let (refused, let_in): (Vec<_>, Vec<_>) =
        cases::cases(world, rpc)?.into_iter().partition(|case| matches!(case.expect, Expect::Refused(_)));
    let mut wrong = Vec::new();
    for case in &let_in {
        let body = fresh_body(world, rpc).await?;
        wrong.extend(attempt(world, rpc, case, &body, table).await?);
    }
    let body = fresh_body(world, rpc).await?;
    for case in &refused {
        wrong.extend(attempt(world, rpc, case, &body, table).await?);
    }
    let rightful = let_in.into_iter().next().with_context(|| format!("{} lets nobody in", rpc.name))?;
    let last = Case { name: LAST.to_owned(), ..rightful };
    wrong.extend(attempt(world, rpc, &last, &body, table).await?);
    Ok(wrong)
}

async fn fresh_body(world: &World, rpc: &Rpc) -> anyhow::Result<Value> {
    rows::body(world, &rpc.name).await?.with_context(|| format!("{} has no row", rpc.name))
}

/// One call; what went wrong with it.
async fn attempt(
    world: &World,
    rpc: &Rpc,
    case: &Case,
    body: &Value,
    table: &mut Table,
) -> anyhow::Result<Option<String>> {
    let bytes = bytes_of(world, rpc, case.body, body)?;
    let answer = world.wire.call(rpc, case.header.as_deref(), bytes).await;
    let past =
        |status: &Status| tenantry_rpc::reason_of(status).is_some_and(|got| rows::past_access(&rpc.name) == Some(got));
    let outcome = answer
        .as_ref()
        .map_or_else(|status| if past(status) { Outcome::LetIn } else { Outcome::refused(status) }, |_| Outcome::LetIn);
    table.note(&rpc.name, &case.name, outcome.clone());
    let problem = match (&answer, case.expect) {
        (Ok(_), Expect::LetIn) => None,
        (Err(status), Expect::LetIn) if past(status) => None,
        (Ok(messages), Expect::OwnData) => {
            let shown = serde_json::to_string(messages)?;
            let leaks = [world.one.secret(), world.one.id.clone()].into_iter().find(|secret| shown.contains(secret));
            leaks.map(|secret| format!("was shown {secret:?}"))
        }
        (Err(status), Expect::Refused(reason)) => misrefused(status, reason, case),
        (Ok(_), Expect::Refused(reason)) => Some(format!("was let in; expected {reason}")),
        (Err(status), Expect::LetIn | Expect::OwnData) => Some(format!("got {outcome}: {}", status.message())),
    };
    Ok(problem.map(|problem| format!("{} by {:?} {problem}", rpc.name, case.name)))
}

/// The request's bytes.
fn bytes_of(world: &World, rpc: &Rpc, how: Body, body: &Value) -> anyhow::Result<Vec<u8>> {
    let named = |company: Option<&str>| -> anyhow::Result<Vec<u8>> {
        let path = rpc.rule.tenant_field.as_ref().map(|field| field.path.replace('.', "/")).unwrap_or_default();
        let mut body = body.clone();
        let field = body.pointer_mut(&format!("/{path}")).with_context(|| format!("{} has no {path}", rpc.name))?;
        *field = company.unwrap_or_default().into();
        rpc.encode(body)
    };
    Ok(match how {
        Body::AsIs => rpc.encode(body.clone())?,
        Body::AfterOwn => [named(Some(&world.other.id))?, rpc.encode(body.clone())?].concat(),
        Body::WithoutTenant => named(None)?,
    })
}

/// What is wrong with a refusal: another code or reason, or the token in its text.
fn misrefused(status: &Status, reason: Reason, case: &Case) -> Option<String> {
    let expected = (code_of(reason), Some(reason));
    let got = (status.code(), tenantry_rpc::reason_of(status));
    if got != expected {
        return Some(format!("got {got:?}; expected {expected:?}: {}", status.message()));
    }
    let token = case.header.as_deref().and_then(|header| header.split_once(' ')).map(|(_, token)| token);
    token.filter(|token| status.message().contains(token)).map(|_| "was told its own token".to_owned())
}

/// The codes that refusals of access have, by the standard rather than by our own mapping.
fn code_of(reason: Reason) -> Code {
    match reason.kind() {
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::PermissionDenied => Code::PermissionDenied,
        Kind::NotFound => Code::NotFound,
        // No other kind is a refusal of access.
        _ => Code::Unknown,
    }
}

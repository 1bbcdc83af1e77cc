//! Whoever guesses passwords waits, and nobody else for long.

use tenantry_api::catalog::v1::{ChangePasswordRequest, LoginRequest};
use tenantry_rpc::{Reason, reason_of};
use tenantry_testkit::actors::{Actor, Owner, PASSWORD, fresh_email, login};
use tenantry_testkit::sandbox::{Clients, Engine, Sandbox};
use tonic::{Request, Status};
use tonic_types::StatusExt;

use crate::processes::{Deployment, serve};
use crate::support::per_engine;

per_engine!(
    a_guesser_waits_and_is_told_for_how_long,
    whether_there_is_an_account_makes_no_difference,
    a_thousand_at_once_count_as_a_thousand,
    a_stolen_token_does_not_become_a_password,
    a_lockout_is_an_event_when_it_begins_and_names_nobody_by_address,
);

async fn sign_in(at: Clients, email: &str, password: &str, from: &str) -> Result<(), Status> {
    let request = LoginRequest { email: email.into(), password: password.into(), ..Default::default() };
    let mut request = Request::new(request);
    if !from.is_empty() {
        request.metadata_mut().insert("x-forwarded-for", from.parse().expect("a header"));
    }
    at.tokens().expect("a client").login(request).await.map(drop)
}

/// The reasons of so many wrong guesses.
async fn guess(at: Clients, email: &str, times: usize, from: &str) -> Vec<Option<Reason>> {
    let mut reasons = Vec::new();
    for _ in 0..times {
        let refused = sign_in(at, email, "wrong, all of it", from).await.expect_err("a refusal");
        if reason_of(&refused) == Some(Reason::SignInThrottled) {
            let wait = refused.get_error_details().retry_info().and_then(|info| info.retry_delay);
            assert!(wait.is_some_and(|wait| !wait.is_zero()), "{refused:?}");
        }
        reasons.push(reason_of(&refused));
    }
    reasons
}

const WRONG: Option<Reason> = Some(Reason::CredentialsInvalid);
const THROTTLED: Option<Reason> = Some(Reason::SignInThrottled);

/// The sixth is still compared, and whoever comes within a second of it waits. The clock is the catalog's, so the
/// block is made long by hand.
async fn a_guesser_waits_and_is_told_for_how_long(sandbox: &Sandbox) -> anyhow::Result<()> {
    let at = sandbox.clients();
    let owner = Owner::of_new_company(sandbox, "Guessed").await?;
    let other = Owner::of_new_company(sandbox, "Beside").await?;
    assert_eq!(guess(at, &owner.email, 5, "").await, [WRONG; 5]);
    // Right again: nothing is held against anybody.
    login(sandbox, &owner.email).await?;
    assert_eq!(guess(at, &owner.email, 5, "").await, [WRONG; 5]);
    assert_eq!(guess(at, &owner.email, 1, "").await, [WRONG]);
    let later = if sandbox.on_server().is_some() { "'2100-01-01 00:00:00'" } else { "'2100-01-01T00:00:00+00:00'" };
    let blocked = "blocked_until IS NOT NULL";
    sandbox.run_in_central(&format!("UPDATE sign_in_failures SET blocked_until = {later} WHERE {blocked}")).await?;
    assert_eq!(guess(at, &owner.email, 2, "").await, [THROTTLED; 2]);
    let right = sign_in(at, &owner.email, PASSWORD, "").await.expect_err("a refusal");
    assert_eq!(reason_of(&right), THROTTLED, "not even the right one is compared");
    login(sandbox, &other.email).await?;

    let past = if sandbox.on_server().is_some() { "'2026-01-01 00:00:00'" } else { "'2026-01-01T00:00:00+00:00'" };
    sandbox.run_in_central(&format!("UPDATE sign_in_failures SET blocked_until = {past} WHERE {blocked}")).await?;
    login(sandbox, &owner.email).await?;
    Ok(())
}

async fn whether_there_is_an_account_makes_no_difference(sandbox: &Sandbox) -> anyhow::Result<()> {
    let at = sandbox.clients();
    let owner = Owner::of_new_company(sandbox, "Known").await?;
    let later = if sandbox.on_server().is_some() { "'2100-01-01 00:00:00'" } else { "'2100-01-01T00:00:00+00:00'" };
    for email in [owner.email, fresh_email()] {
        let mut reasons = guess(at, &email, 6, "").await;
        let statement = "UPDATE sign_in_failures SET blocked_until =";
        sandbox.run_in_central(&format!("{statement} {later} WHERE blocked_until IS NOT NULL")).await?;
        reasons.extend(guess(at, &email, 1, "").await);
        assert_eq!(reasons, [WRONG, WRONG, WRONG, WRONG, WRONG, WRONG, THROTTLED]);
    }
    let digests = sandbox.ask_central("SELECT digest FROM sign_in_failures").await?;
    assert!(digests.iter().all(|digest| digest.len() == 64 && !digest.contains('@')));
    Ok(())
}

/// The failures before it and after it are none, and the event has no address and no password in it.
async fn a_lockout_is_an_event_when_it_begins_and_names_nobody_by_address(sandbox: &Sandbox) -> anyhow::Result<()> {
    let at = sandbox.clients();
    let owner = Owner::of_new_company(sandbox, "Locked").await?;
    let begun = async || sandbox.ask_central("SELECT kind FROM events WHERE kind = 'sign_in.locked'").await;
    let past = if sandbox.on_server().is_some() { "'2026-01-01 00:00:00'" } else { "'2026-01-01T00:00:00+00:00'" };
    let wait_over = format!("UPDATE sign_in_failures SET blocked_until = {past} WHERE blocked_until IS NOT NULL");
    assert_eq!(guess(at, &owner.email, 5, "").await, [WRONG; 5]);
    assert_eq!(begun().await?.len(), 0);
    assert_eq!(guess(at, &owner.email, 1, "").await, [WRONG]);
    assert_eq!(begun().await?.len(), 1);
    sandbox.run_in_central(&wait_over).await?;
    assert_eq!(guess(at, &owner.email, 1, "").await, [WRONG]);
    assert_eq!(begun().await?.len(), 1, "it goes on, and has not begun again");
    // The sixth may be right, and then there is no lockout.
    sandbox.run_in_central(&wait_over).await?;
    login(sandbox, &owner.email).await?;
    assert_eq!(guess(at, &owner.email, 5, "").await, [WRONG; 5]);
    login(sandbox, &owner.email).await?;
    assert_eq!(begun().await?.len(), 1);
    // Of an account that there is not, it is told too: the answer takes as long.
    assert_eq!(guess(at, &fresh_email(), 6, "").await, [WRONG; 6]);
    let sql = "SELECT CAST(payload AS CHAR(4000)) FROM events WHERE kind = 'sign_in.locked' ORDER BY sequence";
    let told = sandbox.ask_central(sql).await?;
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|payload| payload.contains("account_at_address") && !payload.contains('@')), "{told:?}");
    assert!(told[0].contains("\"user_id\"") && told[1].contains("null"), "{told:?}");
    let signed_in = sandbox.ask_central("SELECT kind FROM events WHERE kind = 'user.signed_in'").await?;
    assert_eq!(signed_in.len(), 3, "one for each, and none for those that failed");
    Ok(())
}

async fn a_thousand_at_once_count_as_a_thousand(sandbox: &Sandbox) -> anyhow::Result<()> {
    let at = sandbox.clients();
    let owner = Owner::of_new_company(sandbox, "Burst").await?;
    let mut guesses = tokio::task::JoinSet::new();
    for _ in 0..24 {
        let email = owner.email.clone();
        guesses.spawn(async move { guess(at, &email, 1, "").await });
    }
    let mut compared = 0;
    while let Some(guessed) = guesses.join_next().await {
        compared += guessed?.iter().filter(|reason| **reason == WRONG).count();
    }
    // Each second that the burst takes may let one more through, at first.
    assert!(compared <= 10, "{compared} of 24 were compared");
    Ok(())
}

async fn a_stolen_token_does_not_become_a_password(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Stolen").await?;
    let change = async || {
        let request = ChangePasswordRequest {
            current_password: "a guess at the password".into(),
            new_password: "whatever it would be".into(),
        };
        let changed = sandbox.tokens().expect("a client").change_password(owner.request(request)).await;
        reason_of(&changed.expect_err("a refusal"))
    };
    for _ in 0..6 {
        assert_eq!(change().await, WRONG);
    }
    let later = if sandbox.on_server().is_some() { "'2100-01-01 00:00:00'" } else { "'2100-01-01T00:00:00+00:00'" };
    let statement = "UPDATE sign_in_failures SET blocked_until =";
    sandbox.run_in_central(&format!("{statement} {later} WHERE blocked_until IS NOT NULL")).await?;
    assert_eq!(change().await, THROTTLED);
    Ok(())
}

/// Behind a proxy that is trusted: others guess from everywhere, and the owner signs in from where they always do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_locks_an_owner_out_on_postgres() -> anyhow::Result<()> {
    let deployment = Deployment::on(Engine::Postgres)?;
    deployment.prepare().await?;
    let at = deployment.clients();
    let mut command = deployment.catalog()?;
    command.env("TENANTRY_TRUSTED_HOPS", "1").env("CATALOG_SIGN_IN_FAILURES_PER_ACCOUNT", "10");
    command.env("CATALOG_SIGN_IN_FAILURES_PER_ADDRESS", "8");
    let (catalog, migrator) = (serve(command).await?, serve(deployment.migrator()?).await?);
    let owner = Owner::of_new_company(at, "Attacked").await?;
    let home = "192.0.2.1, 203.0.113.5";
    sign_in(at, &owner.email, PASSWORD, home).await?;
    let server = deployment.control().expect("a server");
    let hold = "UPDATE sign_in_failures SET blocked_until = '2100-01-01 00:00:00' WHERE blocked_until IS NOT NULL";
    for bot in 0..11 {
        // Whatever they say of themselves, the proxy says where they are.
        assert_eq!(guess(at, &owner.email, 1, &format!("203.0.113.5, 198.51.100.{bot}")).await, [WRONG]);
    }
    server.run_in(&server.central(), hold).await?;
    assert_eq!(guess(at, &owner.email, 1, "198.51.100.99").await, [THROTTLED]);
    sign_in(at, &owner.email, PASSWORD, "203.0.113.5").await?;
    // A sprayer, over all accounts.
    for account in 0..9 {
        let email = format!("spray{account}@example.com");
        assert_eq!(guess(at, &email, 1, "198.51.100.200").await, [WRONG]);
    }
    server.run_in(&server.central(), hold).await?;
    assert_eq!(guess(at, &fresh_email(), 1, "198.51.100.200").await, [THROTTLED]);
    sign_in(at, &owner.email, PASSWORD, "203.0.113.5").await?;
    for process in [catalog, migrator] {
        process.stop("TERM").await?;
    }
    deployment.remove().await
}

//! Sign-ins that go on, and all the ways in which they end.

use std::collections::BTreeSet;

use tenantry_api::catalog::v1::{
    ChangePasswordRequest, CreateCompanyRequest, LoginRequest, RefreshTokenRequest, RemoveMemberRequest,
    RevokeTokenRequest, SignOutEveryoneRequest, SignOutEverywhereRequest,
};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Bearer, Member, Operator, Owner, PASSWORD};
use tenantry_testkit::sandbox::{Engine, Sandbox};
use tonic::Status;

use crate::cut_off::until;
use crate::lifecycle::Operations;
use crate::support::{per_engine, reason};

per_engine!(
    a_session_goes_on_with_a_new_token_each_time,
    a_token_that_comes_again_ends_its_session_and_no_other,
    a_lost_answer_signs_nobody_out,
    whoever_refreshes_at_once_gets_one_session,
    signing_out_ends_one_session,
    signing_out_everywhere_ends_them_all,
    what_ends_access_ends_sessions,
    what_was_never_given_out_ends_nothing,
);

struct Session {
    access: Bearer,
    refresh: String,
}

async fn sign_in(sandbox: &Sandbox, email: &str) -> Result<Session, Status> {
    let request = LoginRequest { email: email.into(), password: PASSWORD.into(), ..Default::default() };
    let answer = sandbox.tokens().expect("a client").login(request).await?.into_inner();
    Ok(Session { access: Bearer(answer.access_token), refresh: answer.refresh_token })
}

async fn refresh(sandbox: &Sandbox, token: &str) -> Result<Session, Status> {
    let request = RefreshTokenRequest { refresh_token: token.into() };
    let answer = sandbox.tokens().expect("a client").refresh_token(request).await?.into_inner();
    Ok(Session { access: Bearer(answer.access_token), refresh: answer.refresh_token })
}

async fn is_over(sandbox: &Sandbox, token: &str) -> bool {
    reason(refresh(sandbox, token).await.map(drop)) == Some(Reason::RefreshTokenInvalid)
}

async fn revoke(sandbox: &Sandbox, token: &str) -> Result<(), Status> {
    sandbox.tokens().expect("a client").revoke_token(RevokeTokenRequest { token: token.into() }).await.map(drop)
}

async fn a_session_goes_on_with_a_new_token_each_time(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Lasting").await?;
    let mut session = sign_in(sandbox, &owner.email).await?;
    let mut seen = BTreeSet::from([session.refresh.clone()]);
    for _ in 0..3 {
        let request = RefreshTokenRequest { refresh_token: session.refresh };
        let answer = sandbox.tokens()?.refresh_token(request).await?.into_inner();
        assert_eq!(answer.company_id, owner.company.id);
        assert!(answer.scopes.iter().any(|scope| scope == "crm.people.write"));
        assert!(answer.refresh_expire_time.map(|time| time.seconds) > answer.expire_time.map(|time| time.seconds));
        session = Session { access: Bearer(answer.access_token), refresh: answer.refresh_token };
        until(sandbox.clients(), &session.access, None).await?;
        assert!(seen.insert(session.refresh.clone()), "the same token twice");
    }
    let kept = sandbox.ask_central("SELECT current_hash FROM sessions").await?;
    assert!(!kept.iter().any(|hash| seen.contains(hash)), "a token is nowhere kept");
    Ok(())
}

async fn a_token_that_comes_again_ends_its_session_and_no_other(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Stolen").await?;
    let (first, beside) = (sign_in(sandbox, &owner.email).await?, sign_in(sandbox, &owner.email).await?);
    let second = refresh(sandbox, &first.refresh).await?;
    let third = refresh(sandbox, &second.refresh).await?;
    for access in [&first.access, &third.access, &beside.access] {
        until(sandbox.clients(), access, None).await?;
    }
    assert!(is_over(sandbox, &first.refresh).await);
    assert!(is_over(sandbox, &third.refresh).await, "the thief's and the owner's alike");
    for access in [&first.access, &second.access, &third.access] {
        until(sandbox.clients(), access, Some(Reason::TokenRevoked)).await?;
    }
    until(sandbox.clients(), &beside.access, None).await?;
    until(sandbox.clients(), &refresh(sandbox, &beside.refresh).await?.access, None).await?;
    let told = sandbox.ask_central("SELECT kind FROM events WHERE kind = 'session.token_reused'").await?;
    assert_eq!(told.len(), 1, "once: then there is no session any more");
    Ok(())
}

async fn a_lost_answer_signs_nobody_out(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Tunnel").await?;
    let first = sign_in(sandbox, &owner.email).await?;
    let lost = refresh(sandbox, &first.refresh).await?;
    let second = refresh(sandbox, &first.refresh).await?;
    assert_eq!(second.refresh, lost.refresh);
    until(sandbox.clients(), &second.access, None).await?;
    let third = refresh(sandbox, &second.refresh).await?;
    assert!(is_over(sandbox, &first.refresh).await, "two behind is no lost answer");
    assert!(is_over(sandbox, &third.refresh).await);

    let late = sign_in(sandbox, &owner.email).await?;
    let next = refresh(sandbox, &late.refresh).await?;
    let long_ago = if sandbox.on_server().is_some() { "'2026-01-01 00:00:00'" } else { "'2026-01-01T00:00:00+00:00'" };
    sandbox.run_in_central(&format!("UPDATE sessions SET rotated_at = {long_ago}")).await?;
    assert!(is_over(sandbox, &late.refresh).await, "the moment is over");
    assert!(is_over(sandbox, &next.refresh).await);

    let idle = sign_in(sandbox, &owner.email).await?;
    sandbox.run_in_central(&format!("UPDATE sessions SET idle_ends_at = {long_ago}")).await?;
    assert!(is_over(sandbox, &idle.refresh).await, "not continued for too long");
    Ok(())
}

async fn whoever_refreshes_at_once_gets_one_session(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Tabs").await?;
    let first = sign_in(sandbox, &owner.email).await?;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (mut tokens, refresh_token) = (sandbox.tokens()?, first.refresh.clone());
        calls.spawn(async move { tokens.refresh_token(RefreshTokenRequest { refresh_token }).await });
    }
    let mut answers = BTreeSet::new();
    while let Some(call) = calls.join_next().await {
        answers.insert(call??.into_inner().refresh_token);
    }
    assert_eq!(sandbox.ask_central("SELECT current_hash FROM sessions").await?.len(), 2, "and the one at the start");
    // All of them go on.
    let [next]: [String; 1] = Vec::from_iter(answers).try_into().map_err(|all| anyhow::anyhow!("{all:?}"))?;
    let (one, other) = tokio::try_join!(refresh(sandbox, &next), refresh(sandbox, &next))?;
    assert_eq!(one.refresh, other.refresh);
    until(sandbox.clients(), &other.access, None).await?;
    Ok(())
}

async fn signing_out_ends_one_session(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Leaving").await?;
    let (one, other) = (sign_in(sandbox, &owner.email).await?, sign_in(sandbox, &owner.email).await?);
    until(sandbox.clients(), &one.access, None).await?;
    assert_eq!(reason(revoke(sandbox, &one.access.0).await), Some(Reason::UnsupportedTokenType));
    assert_eq!(reason(revoke(sandbox, "").await), Some(Reason::FieldViolations));
    for _ in 0..2 {
        revoke(sandbox, &one.refresh).await?;
    }
    revoke(sandbox, "tnrt_nobody-knows-it").await?;
    assert!(is_over(sandbox, &one.refresh).await);
    until(sandbox.clients(), &one.access, Some(Reason::TokenRevoked)).await?;
    until(sandbox.clients(), &other.access, None).await?;
    refresh(sandbox, &other.refresh).await?;
    Ok(())
}

async fn signing_out_everywhere_ends_them_all(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "One").await?;
    let member = Member::invited_by(sandbox, &owner, "viewer").await?;
    let operator = Operator::of(sandbox).await?;
    let mut tokens = sandbox.tokens()?;
    let everywhere = |user_id: &str| SignOutEverywhereRequest { user_id: user_id.into() };
    let (one, other) = (sign_in(sandbox, &member.email).await?, sign_in(sandbox, &member.email).await?);
    let others = sign_in(sandbox, &owner.email).await?;

    let refused = tokens.sign_out_everywhere(others.access.request(everywhere(&member.user_id))).await;
    assert_eq!(reason(refused), Some(Reason::CallerNotAllowed));
    let refused = tokens.sign_out_everywhere(operator.request(everywhere(""))).await;
    assert_eq!(reason(refused), Some(Reason::FieldViolations));
    let nobody = uuid::Uuid::now_v7().to_string();
    let refused = tokens.sign_out_everywhere(operator.request(everywhere(&nobody))).await;
    assert_eq!(reason(refused), Some(Reason::UserNotFound));

    tokens.sign_out_everywhere(one.access.request(everywhere(""))).await?;
    for session in [&one, &other] {
        assert!(is_over(sandbox, &session.refresh).await);
        until(sandbox.clients(), &session.access, Some(Reason::TokenRevoked)).await?;
    }
    until(sandbox.clients(), &others.access, None).await?;
    let again = sign_in(sandbox, &member.email).await?;
    until(sandbox.clients(), &again.access, None).await?;
    tokens.sign_out_everywhere(operator.request(everywhere(&member.user_id))).await?;
    assert!(is_over(sandbox, &again.refresh).await);
    until(sandbox.clients(), &again.access, Some(Reason::TokenRevoked)).await?;
    refresh(sandbox, &others.refresh).await?;
    Ok(())
}

async fn what_ends_access_ends_sessions(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Ends").await?;
    let member = Member::invited_by(sandbox, &owner, "member").await?;
    let operations = Operations::of(sandbox).await?;

    let removed = sign_in(sandbox, &member.email).await?;
    let request = RemoveMemberRequest { company_id: owner.company.id.clone(), user_id: member.user_id.clone() };
    sandbox.memberships()?.remove_member(owner.request(request)).await?;
    Member::invite_again(sandbox, &owner, &member.email, "viewer").await?;
    assert!(is_over(sandbox, &removed.refresh).await, "who comes back signs in anew");

    let before = sign_in(sandbox, &owner.email).await?;
    let request = SignOutEveryoneRequest { id: owner.company.id.clone() };
    sandbox.companies()?.sign_out_everyone(before.access.request(request)).await?;
    assert!(is_over(sandbox, &before.refresh).await);

    let suspended = sign_in(sandbox, &owner.email).await?;
    operations.suspend(&owner.company.id).await?;
    assert_eq!(reason(refresh(sandbox, &suspended.refresh).await.map(drop)), Some(Reason::TenantSuspended));
    operations.resume(&owner.company.id).await?;
    assert!(is_over(sandbox, &suspended.refresh).await, "a suspension signs everyone out");

    let changed = sign_in(sandbox, &owner.email).await?;
    let request = ChangePasswordRequest { current_password: PASSWORD.into(), new_password: "another long one".into() };
    sandbox.tokens()?.change_password(changed.access.request(request)).await?;
    assert!(is_over(sandbox, &changed.refresh).await);
    Ok(())
}

async fn what_was_never_given_out_ends_nothing(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Guessed").await?;
    let session = sign_in(sandbox, &owner.email).await?;
    // Whoever knows the session's id and guesses the rest.
    let (start, rest) = session.refresh.split_at(40);
    for guess in [format!("{start}{}", "A".repeat(rest.len())), start.to_owned(), session.access.0.clone()] {
        assert!(is_over(sandbox, &guess).await);
        if guess.matches('.').count() == 0 {
            revoke(sandbox, &guess).await?;
        }
    }
    refresh(sandbox, &session.refresh).await?;

    // Somebody of two companies chooses before there is a session.
    let operator = Operator::of(sandbox).await?;
    let create = CreateCompanyRequest { name: "Second".into(), owner_email: owner.email.clone(), ..Default::default() };
    sandbox.companies()?.create_company(operator.request(create)).await?;
    let request = LoginRequest { email: owner.email, password: PASSWORD.into(), ..Default::default() };
    let answer = sandbox.tokens()?.login(request).await?.into_inner();
    assert_eq!(
        (answer.memberships.len(), answer.access_token, answer.refresh_token),
        (2, String::new(), String::new())
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_has_fifty_sessions_and_the_oldest_makes_room() -> anyhow::Result<()> {
    let sandbox = Sandbox::start(Engine::Sqlite).await?;
    let owner = Owner::of_new_company(&sandbox, "Many").await?;
    let first = sign_in(&sandbox, &owner.email).await?;
    for _ in 0..49 {
        sign_in(&sandbox, &owner.email).await?;
    }
    // The one of `of_new_company` made room.
    assert_eq!(sandbox.ask_central("SELECT current_hash FROM sessions").await?.len(), 50);
    let first = refresh(&sandbox, &first.refresh).await?;
    sign_in(&sandbox, &owner.email).await?;
    refresh(&sandbox, &first.refresh).await?;
    assert_eq!(sandbox.ask_central("SELECT current_hash FROM sessions").await?.len(), 50);
    sandbox.stop().await
}

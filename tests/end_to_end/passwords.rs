//! A lost password is replaced by a secret that an operator hands over, once.

use tenantry_api::catalog::v1::{IssuePasswordResetRequest, LoginRequest, ResetPasswordRequest};
use tenantry_api::crm::v1::ListPeopleRequest;
use tenantry_rpc::{Reason, reason_of};
use tenantry_testkit::actors::{Actor, Operator, Owner, PASSWORD, fresh_email};
use tenantry_testkit::sandbox::Sandbox;
use tonic::Status;

use crate::processes::eventually;
use crate::support::{fields, per_engine, reason};

per_engine!(a_lost_password_is_replaced, a_secret_is_good_once_and_not_for_long, only_operators_hand_secrets_out);

const NEW: &str = "battery horse staple correct";

async fn issue(sandbox: &Sandbox, by: &impl Actor, email: &str) -> Result<String, Status> {
    let request = by.request(IssuePasswordResetRequest { email: email.to_owned() });
    let mut passwords = sandbox.clients().passwords().expect("a client");
    Ok(passwords.issue_password_reset(request).await?.into_inner().secret)
}

async fn reset(sandbox: &Sandbox, secret: &str, new: &str) -> Result<(), Status> {
    let request = ResetPasswordRequest { secret: secret.to_owned(), new_password: new.to_owned() };
    sandbox.clients().passwords().expect("a client").reset_password(request).await.map(drop)
}

async fn sign_in(sandbox: &Sandbox, email: &str, password: &str) -> Result<(), Status> {
    let request = LoginRequest { email: email.into(), password: password.into(), ..Default::default() };
    sandbox.tokens().expect("a client").login(request).await.map(drop)
}

async fn a_lost_password_is_replaced(sandbox: &Sandbox) -> anyhow::Result<()> {
    let (owner, operator) = (Owner::of_new_company(sandbox, "Forgetful").await?, Operator::of(sandbox).await?);
    // Whatever the case of the domain: it is the same address.
    let (local, domain) = owner.email.split_once('@').expect("an address");
    let secret = issue(sandbox, &operator, &format!("{local}@{}", domain.to_uppercase())).await?;
    sign_in(sandbox, &owner.email, PASSWORD).await?;
    reset(sandbox, &secret, NEW).await?;
    assert_eq!(reason(sign_in(sandbox, &owner.email, PASSWORD).await), Some(Reason::CredentialsInvalid));
    sign_in(sandbox, &owner.email, NEW).await?;
    eventually("the old token refused", async || {
        let seen = sandbox.people()?.list_people(owner.request(ListPeopleRequest::default())).await;
        Ok((seen.err().as_ref().and_then(reason_of) == Some(Reason::TokenRevoked)).then_some(()))
    })
    .await?;
    for kind in ["user.password_reset_issued", "user.password_reset"] {
        let told = sandbox.ask_central(&format!("SELECT actor FROM events WHERE kind = '{kind}'")).await?;
        assert_eq!(told.len(), 1, "{kind}");
    }
    let kept = sandbox.ask_central("SELECT secret_hash FROM password_resets").await?;
    assert!(kept.iter().all(|hash| hash.len() == 64 && !secret.contains(hash.as_str())));
    Ok(())
}

async fn a_secret_is_good_once_and_not_for_long(sandbox: &Sandbox) -> anyhow::Result<()> {
    let (owner, operator) = (Owner::of_new_company(sandbox, "Hasty").await?, Operator::of(sandbox).await?);
    let first = issue(sandbox, &operator, &owner.email).await?;
    let second = issue(sandbox, &operator, &owner.email).await?;
    assert_eq!(reason(reset(sandbox, &first, NEW).await), Some(Reason::CredentialsInvalid), "the later one counts");
    assert_eq!(fields(reset(sandbox, "", "short").await), ["secret", "new_password"]);
    // A password that is none uses nothing up.
    assert_eq!(fields(reset(sandbox, &second, "short").await), ["new_password"]);
    let (one, other) = tokio::join!(reset(sandbox, &second, NEW), reset(sandbox, &second, PASSWORD));
    let refused: Vec<_> = [&one, &other].into_iter().filter_map(|done| done.as_ref().err()).collect();
    assert_eq!(refused.iter().map(|status| reason_of(status)).collect::<Vec<_>>(), [Some(Reason::CredentialsInvalid)]);
    sign_in(sandbox, &owner.email, if one.is_ok() { NEW } else { PASSWORD }).await?;
    assert_eq!(reason(reset(sandbox, &second, NEW).await), Some(Reason::CredentialsInvalid));

    let late = issue(sandbox, &operator, &owner.email).await?;
    sandbox.run_in_central("UPDATE password_resets SET expires_at = created_at WHERE used_at IS NULL").await?;
    assert_eq!(reason(reset(sandbox, &late, NEW).await), Some(Reason::CredentialsInvalid));
    assert_eq!(reason(reset(sandbox, "tnrst_made-up", NEW).await), Some(Reason::CredentialsInvalid));
    Ok(())
}

/// One person, many companies: none of them is to have the password.
async fn only_operators_hand_secrets_out(sandbox: &Sandbox) -> anyhow::Result<()> {
    let (owner, operator) = (Owner::of_new_company(sandbox, "Curious").await?, Operator::of(sandbox).await?);
    assert_eq!(reason(issue(sandbox, &owner, &owner.email).await), Some(Reason::CallerNotAllowed));
    assert_eq!(reason(issue(sandbox, &operator, &fresh_email()).await), Some(Reason::UserNotFound));
    assert_eq!(fields(issue(sandbox, &operator, "nowhere").await), ["email"]);
    Ok(())
}

//! What ends somebody's access ends it at once, at the crm too.
//!
//! The crm keeps a placement for 30 s in a sandbox, so that nothing but the stream explains what is seen sooner. The
//! bound is generous; how long it took is printed.

mod replicas;
mod stream;

use std::time::{Duration, Instant};

use tenantry_api::catalog::v1::{
    ChangePasswordRequest, ListMembersRequest, LoginRequest, Member as MemberMessage, RemoveMemberRequest,
    SignOutEveryoneRequest,
};
use tenantry_api::crm::v1::ListPeopleRequest;
use tenantry_rpc::{Reason, reason_of};
use tenantry_testkit::actors::{Actor, Bearer, Member, Owner, PASSWORD, login};
use tenantry_testkit::sandbox::{Clients, Sandbox};
use tonic::Status;

use crate::lifecycle::Operations;
use crate::support::{per_engine, reason};

per_engine!(
    a_suspension_reaches_a_busy_crm_at_once,
    every_state_reaches_the_crm_at_once,
    a_removed_member_is_out_and_can_come_back,
    a_new_password_ends_every_token,
    signing_everyone_out_makes_tokens_stale,
    the_last_owner_stays_and_roles_count,
    what_was_revoked_just_before_a_sign_in_does_not_touch_it,
);

/// Well within the time that a placement is kept.
const BOUND: Duration = Duration::from_secs(20);

/// What the crm answers to somebody's call.
async fn list(at: Clients, actor: &impl Actor) -> Result<(), Status> {
    let mut people = at.people().expect("a client");
    people.list_people(actor.request(ListPeopleRequest::default())).await.map(drop)
}

/// Calls, in a loop, until the crm answers so.
pub(crate) async fn until(at: Clients, actor: &impl Actor, expected: Option<Reason>) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let answer = list(at, actor).await;
        let got = answer.as_ref().err().map(reason_of);
        if got == expected.map(Some) {
            println!("{expected:?} after {:?}", begun.elapsed());
            return Ok(());
        }
        anyhow::ensure!(begun.elapsed() < BOUND, "still {answer:?}, and not {expected:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn sign_in(sandbox: &Sandbox, email: &str, password: &str) -> Result<Bearer, Status> {
    let request = LoginRequest { email: email.into(), password: password.into(), ..Default::default() };
    Ok(Bearer(sandbox.tokens().expect("a client").login(request).await?.into_inner().access_token))
}

async fn a_suspension_reaches_a_busy_crm_at_once(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let owner = Owner::of_new_company(sandbox, "Busy").await?;
    let other = Owner::of_new_company(sandbox, "Beside").await?;
    until(sandbox.clients(), &owner, None).await?;
    until(sandbox.clients(), &other, None).await?;
    let calls = until(sandbox.clients(), &owner, Some(Reason::TenantSuspended));
    let suspended = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        operations.suspend(&owner.company.id).await
    };
    let (seen, suspended) = tokio::join!(calls, suspended);
    suspended?;
    seen?;
    list(sandbox.clients(), &other).await?;
    operations.resume(&owner.company.id).await?;
    until(sandbox.clients(), &owner, Some(Reason::TokenStale)).await?;
    let anew = Bearer(login(sandbox, &owner.email).await?);
    until(sandbox.clients(), &anew, None).await
}

async fn every_state_reaches_the_crm_at_once(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let owner = Owner::of_new_company(sandbox, "Changing").await?;
    let id = &owner.company.id;
    let seen = async |expected| until(sandbox.clients(), &owner, expected).await;
    seen(None).await?;
    operations.enter_maintenance(id, 3).await?;
    seen(Some(Reason::TenantInMaintenance)).await?;
    operations.leave_maintenance(id).await?;
    seen(None).await?;
    operations.delete(id).await?;
    seen(Some(Reason::TenantDeleted)).await?;
    operations.undelete(id).await?;
    seen(None).await
}

async fn a_removed_member_is_out_and_can_come_back(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Small").await?;
    let member = Member::invited_by(sandbox, &owner, "admin").await?;
    let stays = Member::invited_by(sandbox, &owner, "viewer").await?;
    for token in [&member, &stays] {
        until(sandbox.clients(), token, None).await?;
    }
    remove(sandbox, &owner, &owner, &member.user_id).await?;
    // The catalog itself refuses with the same breath.
    let same = remove(sandbox, &member, &owner, &stays.user_id).await;
    assert_eq!(reason(same), Some(Reason::TokenRevoked));
    until(sandbox.clients(), &member, Some(Reason::TokenRevoked)).await?;
    assert_eq!(reason(sign_in(sandbox, &member.email, PASSWORD).await.map(|_| ())), Some(Reason::NoMembership));
    list(sandbox.clients(), &stays).await?;
    assert_eq!(reason(remove(sandbox, &owner, &owner, &member.user_id).await), Some(Reason::MemberNotFound));

    let back = Member::invite_again(sandbox, &owner, &member.email, "member").await?;
    assert_eq!(back.user_id, member.user_id);
    until(sandbox.clients(), &back, None).await?;
    assert_eq!(reason(list(sandbox.clients(), &member).await), Some(Reason::TokenRevoked));
    Ok(())
}

async fn a_new_password_ends_every_token(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Careful").await?;
    let second = sign_in(sandbox, &owner.email, PASSWORD).await?;
    let member = Member::invited_by(sandbox, &owner, "viewer").await?;
    for token in [owner.token(), second.token()] {
        until(sandbox.clients(), &Bearer(token.unwrap_or_default().to_owned()), None).await?;
    }
    let change = async |current: &str, new: &str| {
        let request = ChangePasswordRequest { current_password: current.into(), new_password: new.into() };
        sandbox.tokens().expect("a client").change_password(owner.request(request)).await
    };
    assert_eq!(
        reason(change("not the password at all", "another long password").await),
        Some(Reason::CredentialsInvalid)
    );
    assert_eq!(reason(change(PASSWORD, "short").await), Some(Reason::FieldViolations));
    list(sandbox.clients(), &owner).await?;

    change(PASSWORD, "another long password").await?;
    assert_eq!(reason(change("another long password", PASSWORD).await), Some(Reason::TokenRevoked));
    until(sandbox.clients(), &owner, Some(Reason::TokenRevoked)).await?;
    until(sandbox.clients(), &second, Some(Reason::TokenRevoked)).await?;
    let old = sign_in(sandbox, &owner.email, PASSWORD).await.map(|_| ());
    assert_eq!(reason(old), Some(Reason::CredentialsInvalid));
    until(sandbox.clients(), &sign_in(sandbox, &owner.email, "another long password").await?, None).await?;
    list(sandbox.clients(), &member).await?;
    let told = sandbox.ask_central("SELECT kind FROM events WHERE kind = 'user.password_changed'").await?;
    assert_eq!(told.len(), 1);
    Ok(())
}

async fn signing_everyone_out_makes_tokens_stale(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let owner = Owner::of_new_company(sandbox, "Everyone").await?;
    let admin = Member::invited_by(sandbox, &owner, "admin").await?;
    until(sandbox.clients(), &admin, None).await?;
    let id = &owner.company.id;
    let mut companies = sandbox.companies()?;
    let by_admin = companies.sign_out_everyone(admin.request(SignOutEveryoneRequest { id: id.clone() })).await;
    assert_eq!(reason(by_admin), Some(Reason::ScopeMissing));
    companies.sign_out_everyone(owner.request(SignOutEveryoneRequest { id: id.clone() })).await?;
    until(sandbox.clients(), &admin, Some(Reason::TokenStale)).await?;
    until(sandbox.clients(), &owner, Some(Reason::TokenStale)).await?;
    let anew = Bearer(login(sandbox, &admin.email).await?);
    until(sandbox.clients(), &anew, None).await?;
    operations.sign_out_everyone(id).await?;
    until(sandbox.clients(), &anew, Some(Reason::TokenStale)).await
}

async fn the_last_owner_stays_and_roles_count(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Owned").await?;
    let second = Member::invited_by(sandbox, &owner, "owner").await?;
    let admin = Member::invited_by(sandbox, &owner, "admin").await?;
    let viewer = Member::invited_by(sandbox, &owner, "viewer").await?;
    let members = members(sandbox, &owner.company.id, &owner).await?;
    let roles: Vec<_> = members.iter().map(|member| (member.email.as_str(), member.role.as_str())).collect();
    let expected =
        [(&owner.email, "owner"), (&second.email, "owner"), (&admin.email, "admin"), (&viewer.email, "viewer")];
    assert_eq!(roles, expected.map(|(email, role)| (email.as_str(), role)));
    let first_id = &members[0].user_id;

    assert_eq!(reason(remove(sandbox, &admin, &owner, first_id).await), Some(Reason::RoleTooLow));
    assert_eq!(reason(remove(sandbox, &viewer, &owner, &viewer.user_id).await), Some(Reason::ScopeMissing));
    // Each removes the other: one is left, whichever it is.
    let (one, other) =
        tokio::join!(remove(sandbox, &owner, &owner, &second.user_id), remove(sandbox, &second, &owner, first_id),);
    let refused: Vec<_> = [one.err(), other.err()].into_iter().flatten().map(|status| reason_of(&status)).collect();
    let late = [Reason::LastOwner, Reason::RoleTooLow, Reason::TokenRevoked];
    assert!(matches!(refused[..], [Some(reason)] if late.contains(&reason)), "{refused:?}");
    let owners: Vec<_> = self::members(sandbox, &owner.company.id, &admin)
        .await?
        .into_iter()
        .filter(|member| member.role == "owner")
        .collect();
    assert_eq!(owners.len(), 1);
    let last = sign_in(sandbox, &owners[0].email, PASSWORD).await?;
    assert_eq!(reason(remove(sandbox, &last, &owner, &owners[0].user_id).await), Some(Reason::LastOwner));
    // An admin leaves.
    remove(sandbox, &admin, &owner, &admin.user_id).await?;
    assert_eq!(self::members(sandbox, &owner.company.id, &last).await?.len(), 2);
    Ok(())
}

/// Whoever signs in within the same second as a revocation gets a token that is good, and the next revocation ends it.
async fn what_was_revoked_just_before_a_sign_in_does_not_touch_it(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Hasty").await?;
    let passwords = [PASSWORD, "a second long password", "a third long password", PASSWORD];
    let mut token = Bearer(owner.token().unwrap_or_default().to_owned());
    for change in passwords.windows(2) {
        let request = ChangePasswordRequest { current_password: change[0].into(), new_password: change[1].into() };
        sandbox.tokens()?.change_password(token.request(request)).await?;
        let old = token;
        token = sign_in(sandbox, &owner.email, change[1]).await?;
        list(sandbox.clients(), &token).await?;
        until(sandbox.clients(), &old, Some(Reason::TokenRevoked)).await?;
        list(sandbox.clients(), &token).await?;
    }
    Ok(())
}

/// Page by page.
async fn members(sandbox: &Sandbox, company_id: &str, by: &impl Actor) -> anyhow::Result<Vec<MemberMessage>> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListMembersRequest { company_id: company_id.into(), page_size: 3, page_token };
        let page = sandbox.memberships()?.list_members(by.request(request)).await?.into_inner();
        all.extend(page.members);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

async fn remove(sandbox: &Sandbox, by: &impl Actor, from: &Owner, user_id: &str) -> Result<(), Status> {
    let request = RemoveMemberRequest { company_id: from.company.id.clone(), user_id: user_id.into() };
    sandbox.memberships().expect("a client").remove_member(by.request(request)).await.map(drop)
}

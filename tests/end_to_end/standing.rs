//! Roles go up and down, and everybody may leave, but never the last owner.

use tenantry_api::catalog::v1::{LeaveCompanyRequest, ListMembersRequest, Member as Message, UpdateMemberRequest};
use tenantry_api::crm::v1::{CreatePersonRequest, ListPeopleRequest, Person};
use tenantry_rpc::{Reason, reason_of};
use tenantry_testkit::actors::{Actor, Bearer, Member, Owner, login};
use tenantry_testkit::sandbox::Sandbox;
use tonic::Status;

use crate::processes::eventually;
use crate::support::{fields, per_engine, reason};

per_engine!(
    nobody_is_raised_above_who_raises,
    a_lower_role_ends_tokens,
    everybody_may_leave,
    two_owners_at_once_leave_one
);

async fn update(sandbox: &Sandbox, by: &impl Actor, of: &Owner, user_id: &str, role: &str) -> Result<Message, Status> {
    let (company_id, user_id) = (of.company.id.clone(), user_id.to_owned());
    let request = by.request(UpdateMemberRequest { company_id, user_id, role: role.to_owned() });
    sandbox.memberships().expect("a client").update_member(request).await.map(tonic::Response::into_inner)
}

async fn leave(sandbox: &Sandbox, who: &impl Actor, of: &Owner) -> Result<(), Status> {
    let request = who.request(LeaveCompanyRequest { company_id: of.company.id.clone() });
    sandbox.memberships().expect("a client").leave_company(request).await.map(drop)
}

/// The roles of everybody, as they came.
async fn roles(sandbox: &Sandbox, by: &impl Actor, of: &Owner) -> anyhow::Result<Vec<String>> {
    let request = ListMembersRequest { company_id: of.company.id.clone(), ..Default::default() };
    let page = sandbox.memberships()?.list_members(by.request(request)).await?.into_inner();
    Ok(page.members.into_iter().map(|member| member.role).collect())
}

/// The owner's own id: longest known users come first.
async fn owner_id(sandbox: &Sandbox, owner: &Owner) -> anyhow::Result<String> {
    let request = ListMembersRequest { company_id: owner.company.id.clone(), page_size: 1, ..Default::default() };
    let page = sandbox.memberships()?.list_members(owner.request(request)).await?.into_inner();
    Ok(page.members[0].user_id.clone())
}

async fn nobody_is_raised_above_who_raises(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Ranks").await?;
    let own_id = owner_id(sandbox, &owner).await?;
    let admin = Member::invited_by(sandbox, &owner, "admin").await?;
    let member = Member::invited_by(sandbox, &owner, "member").await?;
    let to = async |by: &Member, id: &str, role: &str| update(sandbox, by, &owner, id, role).await;

    assert_eq!(reason(to(&member, &member.user_id, "owner").await), Some(Reason::ScopeMissing));
    assert_eq!(reason(to(&admin, &admin.user_id, "owner").await), Some(Reason::RoleNotGrantable));
    assert_eq!(reason(to(&admin, &member.user_id, "owner").await), Some(Reason::RoleNotGrantable));
    assert_eq!(reason(to(&admin, &own_id, "viewer").await), Some(Reason::RoleTooLow));
    let nobody = uuid::Uuid::now_v7().to_string();
    assert_eq!(reason(to(&admin, &nobody, "viewer").await), Some(Reason::MemberNotFound));
    assert_eq!(fields(to(&admin, "x", "king").await), ["user_id", "role"]);
    // Another company's owner is nobody here.
    let stranger = Owner::of_new_company(sandbox, "Elsewhere").await?;
    assert_eq!(reason(update(sandbox, &stranger, &owner, &own_id, "viewer").await), Some(Reason::OtherTenant));
    assert_eq!(roles(sandbox, &owner, &owner).await?, ["owner", "admin", "member"]);

    let raised = to(&admin, &member.user_id, "admin").await?;
    assert_eq!((raised.user_id.as_str(), raised.role.as_str()), (member.user_id.as_str(), "admin"));
    assert_eq!(raised.email, member.email);
    // The role that they have already, for the second time.
    assert_eq!(to(&admin, &member.user_id, "admin").await?, raised);
    let told = sandbox.ask_central("SELECT kind FROM events WHERE kind = 'member.role_changed'").await?;
    assert_eq!(told.len(), 1);
    // The last owner stays one, until there is another.
    assert_eq!(reason(update(sandbox, &owner, &owner, &own_id, "admin").await), Some(Reason::LastOwner));
    update(sandbox, &owner, &owner, &member.user_id, "owner").await?;
    update(sandbox, &owner, &owner, &own_id, "viewer").await?;
    let heir = Bearer(login(sandbox, &member.email).await?);
    assert_eq!(roles(sandbox, &heir, &owner).await?, ["viewer", "admin", "owner"]);
    Ok(())
}

async fn a_lower_role_ends_tokens(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Lower").await?;
    let member = Member::invited_by(sandbox, &owner, "viewer").await?;
    let write = async |who: &dyn Fn(CreatePersonRequest) -> tonic::Request<CreatePersonRequest>| {
        let person = Some(Person { name: "Grace".to_owned(), ..Default::default() });
        let request = who(CreatePersonRequest { person, ..Default::default() });
        sandbox.people().expect("a client").create_person(request).await.map(drop)
    };
    assert_eq!(reason(write(&|body| member.request(body)).await), Some(Reason::ScopeMissing));
    update(sandbox, &owner, &owner, &member.user_id, "member").await?;
    // A higher role comes with the next token, and the old one stays what it was.
    sandbox.people()?.list_people(member.request(ListPeopleRequest::default())).await?;
    let raised = Bearer(login(sandbox, &member.email).await?);
    write(&|body| raised.request(body)).await?;

    update(sandbox, &owner, &owner, &member.user_id, "viewer").await?;
    eventually("the old token refused", async || {
        let seen = write(&|body| raised.request(body)).await.err().as_ref().and_then(reason_of);
        Ok((seen == Some(Reason::TokenRevoked)).then_some(()))
    })
    .await?;
    let lowered = Bearer(login(sandbox, &member.email).await?);
    assert_eq!(reason(write(&|body| lowered.request(body)).await), Some(Reason::ScopeMissing));
    sandbox.people()?.list_people(lowered.request(ListPeopleRequest::default())).await?;
    Ok(())
}

async fn everybody_may_leave(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Open doors").await?;
    assert_eq!(reason(leave(sandbox, &owner, &owner).await), Some(Reason::LastOwner));
    for role in ["viewer", "member", "admin", "owner"] {
        let member = Member::invited_by(sandbox, &owner, role).await?;
        leave(sandbox, &member, &owner).await?;
        assert_eq!(reason(leave(sandbox, &member, &owner).await), Some(Reason::TokenRevoked), "{role}");
        let signing_in = login(sandbox, &member.email).await.expect_err("a refusal");
        let status = signing_in.downcast_ref::<Status>().expect("a status");
        assert_eq!(reason_of(status), Some(Reason::NoMembership), "{role}");
    }
    assert_eq!(roles(sandbox, &owner, &owner).await?, ["owner"]);
    let left = sandbox.ask_central("SELECT kind FROM events WHERE kind = 'member.removed'").await?;
    assert_eq!(left.len(), 4);
    Ok(())
}

/// Whoever is first; the other one stays.
async fn two_owners_at_once_leave_one(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Two").await?;
    let own_id = owner_id(sandbox, &owner).await?;
    let second = Member::invited_by(sandbox, &owner, "owner").await?;
    let lowered = update(sandbox, &second, &owner, &own_id, "viewer");
    let (one, other) = tokio::join!(lowered, leave(sandbox, &second, &owner));
    let refused: Vec<_> = [one.map(drop).err(), other.err()].into_iter().flatten().collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    let late = [Reason::LastOwner, Reason::RoleTooLow, Reason::TokenRevoked];
    assert!(reason_of(&refused[0]).is_some_and(|reason| late.contains(&reason)), "{refused:?}");
    let owners = sandbox.ask_central("SELECT role FROM memberships WHERE role = 'owner'").await?;
    assert_eq!(owners, ["owner"]);
    Ok(())
}

//! Those who call: an operator, a company's owner, a member, a stranger. Each is its own type, so that a test says who
//! does what.

use std::time::Duration;

use anyhow::Context as _;
use tenantry_api::catalog::v1::{
    AcceptInvitationRequest, Company, CompanyState, InviteMemberRequest, IssueOperatorTokenRequest, LoginRequest,
    RegisterCompanyRequest,
};
use tenantry_ids::{IdSource, SystemIds};
use tonic::Request;

use crate::sandbox::{Clients, Sandbox};

/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery staple";

/// The deadline of every call, to the end of a stream. A bound for what hangs, no measure of speed.
pub const LONGEST_CALL: Duration = Duration::from_secs(300);

/// Somebody who calls, with or without a token.
pub trait Actor {
    /// The token, if there is one.
    fn token(&self) -> Option<&str>;

    /// A request of this actor's.
    fn request<T>(&self, body: T) -> Request<T> {
        let mut request = Request::new(body);
        request.set_timeout(LONGEST_CALL);
        if let Some(token) = self.token()
            && let Ok(bearer) = format!("Bearer {token}").parse()
        {
            request.metadata_mut().insert("authorization", bearer);
        }
        request
    }
}

/// An operator of the fleet.
pub struct Operator(String);

/// The owner of a company, with the company.
pub struct Owner {
    token: String,
    /// The company.
    pub company: Company,
    /// The owner's address.
    pub email: String,
}

/// A member of a company in some other role.
pub struct Member {
    token: String,
    /// The user's id.
    pub user_id: String,
    /// The member's address.
    pub email: String,
}

/// Nobody in particular.
pub struct Stranger;

/// Somebody with just a token.
pub struct Bearer(pub String);

impl Actor for Operator {
    fn token(&self) -> Option<&str> {
        Some(&self.0)
    }
}

impl Actor for Owner {
    fn token(&self) -> Option<&str> {
        Some(&self.token)
    }
}

impl Actor for Member {
    fn token(&self) -> Option<&str> {
        Some(&self.token)
    }
}

impl Actor for Stranger {
    fn token(&self) -> Option<&str> {
        None
    }
}

impl Actor for Bearer {
    fn token(&self) -> Option<&str> {
        Some(&self.0)
    }
}

impl Operator {
    /// The sandbox's first operator.
    pub async fn of(sandbox: &Sandbox) -> anyhow::Result<Self> {
        Self::with_credential(sandbox.clients(), sandbox.operator_credential()?).await
    }

    /// Who has this credential.
    pub async fn with_credential(at: Clients, credential: String) -> anyhow::Result<Self> {
        let request = IssueOperatorTokenRequest { credential, audiences: Vec::new() };
        let answer = at.operators()?.issue_operator_token(request).await?;
        Ok(Self(answer.into_inner().access_token))
    }
}

/// A registration as it should be.
pub fn registration(name: &str, email: &str) -> RegisterCompanyRequest {
    RegisterCompanyRequest {
        name: name.to_owned(),
        slug: String::new(),
        owner_email: email.to_owned(),
        owner_password: PASSWORD.to_owned(),
        request_id: String::new(),
    }
}

/// An address that nobody else in this test run has.
pub fn fresh_email() -> String {
    let tag = SystemIds.uuid().simple();
    format!("u{tag}@example.com")
}

impl Owner {
    /// Registers a company and signs its owner in.
    pub async fn of_new_company(at: impl Into<Clients>, name: &str) -> anyhow::Result<Self> {
        let at = at.into();
        let email = fresh_email();
        let registered = at.companies()?.register_company(registration(name, &email)).await;
        let company = registered.with_context(|| format!("registering {name:?}"))?.into_inner();
        anyhow::ensure!(company.state() == CompanyState::Active, "{name:?} is {:?}", company.state());
        let token = login(at, &email).await?;
        Ok(Self { token, company, email })
    }
}

impl Owner {
    /// Signs in to a company that somebody else has created for them.
    pub async fn of(at: impl Into<Clients>, company: Company, email: String) -> anyhow::Result<Self> {
        Ok(Self { token: login(at, &email).await?, company, email })
    }
}

impl Member {
    /// Invites somebody new into the owner's company, accepts, and signs in.
    pub async fn invited_by(sandbox: &Sandbox, owner: &Owner, role: &str) -> anyhow::Result<Self> {
        Self::invite_again(sandbox, owner, &fresh_email(), role).await
    }

    /// Invites an address that may have been in the company before, or has everybody's password anyway.
    pub async fn invite_again(sandbox: &Sandbox, owner: &Owner, email: &str, role: &str) -> anyhow::Result<Self> {
        let email = email.to_owned();
        let invite =
            InviteMemberRequest { company_id: owner.company.id.clone(), email: email.clone(), role: role.to_owned() };
        let mut memberships = sandbox.memberships()?;
        let invited = memberships.invite_member(owner.request(invite)).await?.into_inner();
        let accept = AcceptInvitationRequest { secret: invited.secret, password: PASSWORD.to_owned() };
        let user_id = memberships.accept_invitation(accept).await?.into_inner().user_id;
        let token = login(sandbox, &email).await?;
        Ok(Self { token, user_id, email })
    }
}

/// Signs somebody in who is in one company and has everybody's password: a token.
pub async fn login(at: impl Into<Clients>, email: &str) -> anyhow::Result<String> {
    let request = LoginRequest { email: email.to_owned(), password: PASSWORD.to_owned(), ..Default::default() };
    Ok(at.into().tokens()?.login(request).await.context("signing in")?.into_inner().access_token)
}

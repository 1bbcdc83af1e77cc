use std::sync::Arc;

use tenantry_api::catalog::v1::operator_service_server::OperatorService;
use tenantry_api::catalog::v1::token_service_server::TokenService;
use tenantry_api::catalog::v1::{
    ChangePasswordRequest, ChangePasswordResponse, CompanyMembership, IssueOperatorTokenRequest,
    IssueOperatorTokenResponse, LoginRequest, LoginResponse,
};
use tenantry_rpc::{Call, Violations};
use tonic::{Request, Response, Status};

use super::convert::timestamp;
use crate::app::tokens::{self, SignIn};
use crate::app::{App, passwords};
use crate::domain::{Email, check_password};

/// The services that take user tokens.
const USER_AUDIENCES: &[&str] = &["catalog", "crm"];
/// The services that take operator tokens.
const OPERATOR_AUDIENCES: &[&str] = &["catalog", "migrator"];
/// No real password is longer; checked before any hashing.
const MAX_PASSWORD_BYTES: usize = 1024;

pub(crate) struct TokenGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl TokenService for TokenGrpc {
    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        let body = Call::open(request)?.body;
        let mut violations = Violations::new();
        let email = Email::parse(&mut violations, "email", &body.email);
        check_current(&mut violations, "password", &body.password);
        let company = match body.company_id.as_str() {
            "" => None,
            text => violations.parse("company_id", text),
        };
        let audiences = parse_audiences(&mut violations, body.audiences, USER_AUDIENCES);
        violations.into_result()?;
        let outcome = tokens::login(&self.0, &email, &body.password, company, audiences).await?;
        Ok(Response::new(login_response(outcome)))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let (current, new) = (&call.body.current_password, &call.body.new_password);
        check_current(&mut violations, "current_password", current);
        check_password(&mut violations, "new_password", new);
        violations.into_result()?;
        passwords::change(&self.0, &call.context, current, new).await?;
        Ok(Response::new(ChangePasswordResponse {}))
    }
}

/// Checks a password that somebody has already: as little as keeps hashing from becoming an attack.
fn check_current(violations: &mut Violations, field: &str, password: &str) {
    let fits = !password.is_empty() && password.len() <= MAX_PASSWORD_BYTES;
    violations.check(fits, field, "must have 1 to 1024 bytes");
}

fn login_response(outcome: SignIn) -> LoginResponse {
    match outcome {
        SignIn::Token(issued, company) => LoginResponse {
            access_token: issued.token,
            expire_time: Some(timestamp(issued.expires_at)),
            company_id: company.to_string(),
            scopes: issued.scopes,
            memberships: Vec::new(),
        },
        SignIn::Choose(memberships) => {
            let memberships = memberships.into_iter().map(|(company, role)| CompanyMembership {
                company_id: company.id.to_string(),
                company_name: company.name,
                role: role.as_str().to_owned(),
            });
            LoginResponse { memberships: memberships.collect(), ..Default::default() }
        }
    }
}

pub(crate) struct OperatorGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl OperatorService for OperatorGrpc {
    async fn issue_operator_token(
        &self,
        request: Request<IssueOperatorTokenRequest>,
    ) -> Result<Response<IssueOperatorTokenResponse>, Status> {
        let body = Call::open(request)?.body;
        let mut violations = Violations::new();
        violations.check(!body.credential.is_empty(), "credential", "must be the operator's credential");
        let audiences = parse_audiences(&mut violations, body.audiences, OPERATOR_AUDIENCES);
        violations.into_result()?;
        let issued = tokens::operator_token(&self.0, body.credential.trim(), audiences).await?;
        let expire_time = Some(timestamp(issued.expires_at));
        Ok(Response::new(IssueOperatorTokenResponse { access_token: issued.token, expire_time, scopes: issued.scopes }))
    }
}

fn parse_audiences(violations: &mut Violations, mut asked: Vec<String>, allowed: &[&str]) -> Vec<String> {
    if asked.is_empty() {
        return allowed.iter().map(|name| (*name).to_owned()).collect();
    }
    asked.sort();
    asked.dedup();
    let known = asked.iter().all(|name| allowed.contains(&name.as_str()));
    violations.check(known, "audiences", &format!("must be of {}", allowed.join(", ")));
    asked
}

use std::sync::Arc;

use tenantry_api::catalog::v1::operator_service_server::OperatorService;
use tenantry_api::catalog::v1::token_service_server::TokenService;
use tenantry_api::catalog::v1::{
    ChangePasswordRequest, ChangePasswordResponse, CompanyMembership, ExchangeApiKeyRequest, ExchangeApiKeyResponse,
    ExchangeExternalTokenRequest, ExchangeExternalTokenResponse, ExchangeTokenRequest, ExchangeTokenResponse,
    IssueOperatorTokenRequest, IssueOperatorTokenResponse, LoginRequest, LoginResponse, RefreshTokenRequest,
    RefreshTokenResponse, RevokeTokenRequest, RevokeTokenResponse, SignOutEverywhereRequest, SignOutEverywhereResponse,
};
use tenantry_rpc::{Call, Error, Violations, parse_field};
use tonic::{Request, Response, Status};

use super::convert::timestamp;
use crate::app::exchange::{self, Exchanged, Wanted};
use crate::app::tokens::{self, SignIn};
use crate::app::{App, api_keys, issuers, passwords, sessions};
use crate::domain::{Email, check_password};

/// The services that take operator tokens.
const OPERATOR_AUDIENCES: &[&str] = &["catalog", "migrator"];
/// No real password is longer; checked before any hashing.
const MAX_PASSWORD_BYTES: usize = 1024;
/// The longest reason to act for somebody, in characters.
const MAX_REASON_CHARS: usize = 500;
/// What another issuer's token can be (RFC 8693, section 3).
const EXTERNAL_TOKEN_TYPES: [&str; 2] =
    ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"];
/// As long as an access token, so that one that was sent by mistake is told so.
const MAX_SECRET_BYTES: usize = 8 * 1024;

pub(crate) struct TokenGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl TokenService for TokenGrpc {
    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        let Call { context, body, .. } = Call::open(request)?;
        let mut violations = Violations::new();
        let email = Email::parse(&mut violations, "email", &body.email);
        check_current(&mut violations, "password", &body.password);
        let company = match body.company_id.as_str() {
            "" => None,
            text => violations.parse("company_id", text),
        };
        let audiences = parse_audiences(&mut violations, body.audiences, &self.0.settings.tenant_services.audiences());
        violations.into_result()?;
        let outcome = tokens::login(&self.0, &context, &email, &body.password, company, audiences).await?;
        Ok(Response::new(login_response(outcome)))
    }

    async fn refresh_token(
        &self,
        request: Request<RefreshTokenRequest>,
    ) -> Result<Response<RefreshTokenResponse>, Status> {
        let body = Call::open(request)?.body;
        check_secret("refresh_token", &body.refresh_token)?;
        let continued = sessions::refresh(&self.0, &body.refresh_token).await?;
        Ok(Response::new(RefreshTokenResponse {
            access_token: continued.access.token,
            expire_time: Some(timestamp(continued.access.expires_at)),
            company_id: continued.company.to_string(),
            scopes: continued.access.scopes,
            refresh_token: continued.refresh.expose().to_owned(),
            refresh_expire_time: Some(timestamp(continued.refresh_ends_at)),
        }))
    }

    async fn revoke_token(
        &self,
        request: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        let body = Call::open(request)?.body;
        check_secret("token", &body.token)?;
        sessions::revoke(&self.0, &body.token).await?;
        Ok(Response::new(RevokeTokenResponse {}))
    }

    async fn sign_out_everywhere(
        &self,
        request: Request<SignOutEverywhereRequest>,
    ) -> Result<Response<SignOutEverywhereResponse>, Status> {
        let call = Call::open(request)?;
        let user = match call.body.user_id.as_str() {
            "" => None,
            text => Some(parse_field("user_id", text)?),
        };
        sessions::sign_out_everywhere(&self.0, &call.context, user).await?;
        Ok(Response::new(SignOutEverywhereResponse {}))
    }

    async fn exchange_api_key(
        &self,
        request: Request<ExchangeApiKeyRequest>,
    ) -> Result<Response<ExchangeApiKeyResponse>, Status> {
        let body = Call::open(request)?.body;
        let mut violations = Violations::new();
        violations.check(!body.secret.is_empty(), "secret", "must be the key's secret");
        let audiences = parse_audiences(&mut violations, body.audiences, &self.0.settings.tenant_services.audiences());
        violations.into_result()?;
        let (company, issued) = api_keys::exchange(&self.0, body.secret.trim(), audiences).await?;
        let (company_id, expire_time) = (company.to_string(), Some(timestamp(issued.expires_at)));
        let (access_token, scopes) = (issued.token, issued.scopes);
        Ok(Response::new(ExchangeApiKeyResponse { access_token, expire_time, company_id, scopes }))
    }

    async fn exchange_token(
        &self,
        request: Request<ExchangeTokenRequest>,
    ) -> Result<Response<ExchangeTokenResponse>, Status> {
        let Call { context, body, .. } = Call::open(request)?;
        let mut violations = Violations::new();
        let company = violations.parse("company_id", &body.company_id);
        let user = Some(&body.user_id).filter(|id| !id.is_empty()).map(|id| violations.parse("user_id", id));
        let reason = violations.optional_text("reason", &body.reason, MAX_REASON_CHARS);
        let audiences = parse_audiences(&mut violations, body.audiences, &self.0.settings.tenant_services.audiences());
        let company = violations.finish(company)?;
        let wanted = Wanted { company, user: user.flatten(), reason, audiences };
        Ok(Response::new(exchanged(exchange::exchange(&self.0, &context, wanted).await?)))
    }

    async fn exchange_external_token(
        &self,
        request: Request<ExchangeExternalTokenRequest>,
    ) -> Result<Response<ExchangeExternalTokenResponse>, Status> {
        let body = Call::open(request)?.body;
        let mut violations = Violations::new();
        violations.check(!body.subject_token.is_empty(), "subject_token", "must be the issuer's token");
        let is_known = EXTERNAL_TOKEN_TYPES.contains(&body.subject_token_type.as_str());
        let description = format!("must be one of {}", EXTERNAL_TOKEN_TYPES.join(", "));
        violations.check(is_known, "subject_token_type", &description);
        let audiences = parse_audiences(&mut violations, body.audiences, &self.0.settings.tenant_services.audiences());
        violations.into_result()?;
        let (company, issued) = issuers::exchange(&self.0, body.subject_token.trim(), audiences).await?;
        let (company_id, expire_time) = (company.to_string(), Some(timestamp(issued.expires_at)));
        let (access_token, scopes) = (issued.token, issued.scopes);
        Ok(Response::new(ExchangeExternalTokenResponse { access_token, expire_time, company_id, scopes }))
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

/// Checks a secret that a machine keeps: whatever it is, it is not nothing.
fn check_secret(field: &str, secret: &str) -> Result<(), Error> {
    let mut violations = Violations::new();
    violations.check(!secret.is_empty() && secret.len() <= MAX_SECRET_BYTES, field, "must have 1 to 8192 bytes");
    violations.into_result()
}

fn exchanged(exchanged: Exchanged) -> ExchangeTokenResponse {
    match exchanged {
        Exchanged::Session(session) => ExchangeTokenResponse {
            access_token: session.access.token,
            expire_time: Some(timestamp(session.access.expires_at)),
            company_id: session.company.to_string(),
            scopes: session.access.scopes,
            refresh_token: session.refresh.expose().to_owned(),
            refresh_expire_time: Some(timestamp(session.refresh_ends_at)),
        },
        Exchanged::Acting(company, issued) => ExchangeTokenResponse {
            access_token: issued.token,
            expire_time: Some(timestamp(issued.expires_at)),
            company_id: company.to_string(),
            scopes: issued.scopes,
            ..Default::default()
        },
    }
}

fn login_response(outcome: SignIn) -> LoginResponse {
    match outcome {
        SignIn::Session(session) => LoginResponse {
            access_token: session.access.token,
            expire_time: Some(timestamp(session.access.expires_at)),
            company_id: session.company.to_string(),
            scopes: session.access.scopes,
            memberships: Vec::new(),
            refresh_token: session.refresh.expose().to_owned(),
            refresh_expire_time: Some(timestamp(session.refresh_ends_at)),
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

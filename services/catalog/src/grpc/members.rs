use std::sync::Arc;

use tenantry_api::catalog::v1::membership_service_server::MembershipService;
use tenantry_api::catalog::v1::{
    AcceptInvitationRequest, AcceptInvitationResponse, InviteMemberRequest, InviteMemberResponse,
};
use tenantry_rpc::{Call, Violations};
use tonic::{Request, Response, Status};

use super::convert::timestamp;
use crate::app::{App, members};
use crate::domain::Email;

pub(crate) struct MembershipGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl MembershipService for MembershipGrpc {
    async fn invite_member(
        &self,
        request: Request<InviteMemberRequest>,
    ) -> Result<Response<InviteMemberResponse>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let company = violations.parse("company_id", &call.body.company_id);
        let email = Email::parse(&mut violations, "email", &call.body.email);
        let role = violations.parse("role", &call.body.role);
        let (company, role) = violations.finish(company.zip(role))?;
        let invited = members::invite(&self.0, &call.context, company, email, role).await?;
        Ok(Response::new(InviteMemberResponse {
            invitation_id: invited.id.to_string(),
            secret: invited.secret.expose().to_owned(),
            expire_time: Some(timestamp(invited.expires_at)),
        }))
    }

    async fn accept_invitation(
        &self,
        request: Request<AcceptInvitationRequest>,
    ) -> Result<Response<AcceptInvitationResponse>, Status> {
        let body = Call::open(request)?.body;
        let mut violations = Violations::new();
        violations.check(!body.secret.is_empty(), "secret", "must be the invitation's secret");
        violations.check(!body.password.is_empty(), "password", "must not be empty");
        violations.into_result()?;
        let joined = members::accept(&self.0, &body.secret, &body.password).await?;
        Ok(Response::new(AcceptInvitationResponse {
            company_id: joined.company.to_string(),
            user_id: joined.user.to_string(),
            role: joined.role.as_str().to_owned(),
        }))
    }
}

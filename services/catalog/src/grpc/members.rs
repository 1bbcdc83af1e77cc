use std::sync::Arc;

use tenantry_api::catalog::v1::membership_service_server::MembershipService;
use tenantry_api::catalog::v1::{
    AcceptInvitationRequest, AcceptInvitationResponse, InviteMemberRequest, InviteMemberResponse, LeaveCompanyRequest,
    LeaveCompanyResponse, ListMembersRequest, ListMembersResponse, Member, RemoveMemberRequest, RemoveMemberResponse,
    UpdateMemberRequest,
};
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Call, Violations, parse_field};
use tonic::{Request, Response, Status};

use super::convert::timestamp;
use crate::app::{App, members, standing};
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
        let Call { context, body, .. } = Call::open(request)?;
        let mut violations = Violations::new();
        violations.check(!body.secret.is_empty(), "secret", "must be the invitation's secret");
        violations.check(!body.password.is_empty(), "password", "must not be empty");
        violations.into_result()?;
        let joined = members::accept(&self.0, &context, &body.secret, &body.password).await?;
        Ok(Response::new(AcceptInvitationResponse {
            company_id: joined.company.to_string(),
            user_id: joined.user.to_string(),
            role: joined.role.as_str().to_owned(),
        }))
    }

    async fn list_members(
        &self,
        request: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        let body = Call::open(request)?.body;
        let mut violations = Violations::new();
        let company = violations.parse("company_id", &body.company_id);
        let page = Page::parse(&mut violations, members::LIST, body.page_size, &body.page_token);
        let (rows, next_page_token) = members::list(&self.0, violations.finish(company)?, page).await?;
        Ok(Response::new(ListMembersResponse { members: rows.into_iter().map(member).collect(), next_page_token }))
    }

    async fn update_member(&self, request: Request<UpdateMemberRequest>) -> Result<Response<Member>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let company = violations.parse("company_id", &call.body.company_id);
        let user = violations.parse("user_id", &call.body.user_id);
        let role = violations.parse("role", &call.body.role);
        let ((company, user), role) = violations.finish(company.zip(user).zip(role))?;
        Ok(Response::new(member(standing::change_role(&self.0, &call.context, company, user, role).await?)))
    }

    async fn leave_company(
        &self,
        request: Request<LeaveCompanyRequest>,
    ) -> Result<Response<LeaveCompanyResponse>, Status> {
        let call = Call::open(request)?;
        let company = parse_field("company_id", &call.body.company_id)?;
        standing::leave(&self.0, &call.context, company).await?;
        Ok(Response::new(LeaveCompanyResponse {}))
    }

    async fn remove_member(
        &self,
        request: Request<RemoveMemberRequest>,
    ) -> Result<Response<RemoveMemberResponse>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let company = violations.parse("company_id", &call.body.company_id);
        let user = violations.parse("user_id", &call.body.user_id);
        let (company, user) = violations.finish(company.zip(user))?;
        standing::remove(&self.0, &call.context, company, user).await?;
        Ok(Response::new(RemoveMemberResponse {}))
    }
}

fn member((membership, user): members::Member) -> Member {
    Member {
        user_id: user.id.to_string(),
        email: user.email,
        role: membership.role.as_str().to_owned(),
        join_time: Some(timestamp(membership.created_at)),
    }
}

use std::sync::Arc;

use tenantry_api::catalog::v1::password_service_server::PasswordService;
use tenantry_api::catalog::v1::{
    IssuePasswordResetRequest, IssuePasswordResetResponse, ResetPasswordRequest, ResetPasswordResponse,
};
use tenantry_rpc::{Call, Violations};
use tonic::{Request, Response, Status};

use super::convert::timestamp;
use crate::app::{App, password_resets};
use crate::domain::{Email, check_password};

pub(crate) struct PasswordGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl PasswordService for PasswordGrpc {
    async fn issue_password_reset(
        &self,
        request: Request<IssuePasswordResetRequest>,
    ) -> Result<Response<IssuePasswordResetResponse>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let email = Email::parse(&mut violations, "email", &call.body.email);
        violations.into_result()?;
        let reset = password_resets::issue(&self.0, &call.context, &email).await?;
        Ok(Response::new(IssuePasswordResetResponse {
            user_id: reset.user.to_string(),
            secret: reset.secret.expose().to_owned(),
            expire_time: Some(timestamp(reset.expires_at)),
        }))
    }

    async fn reset_password(
        &self,
        request: Request<ResetPasswordRequest>,
    ) -> Result<Response<ResetPasswordResponse>, Status> {
        let body = Call::open(request)?.body;
        let mut violations = Violations::new();
        violations.check(!body.secret.is_empty(), "secret", "must be the secret that an operator gave");
        check_password(&mut violations, "new_password", &body.new_password);
        violations.into_result()?;
        password_resets::reset(&self.0, &body.secret, &body.new_password).await?;
        Ok(Response::new(ResetPasswordResponse {}))
    }
}

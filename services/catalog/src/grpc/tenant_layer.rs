use std::sync::Arc;

use async_trait::async_trait;
use tenantry_rpc::{Caller, Context, Error, HttpRequest, HttpResponse, Middleware, Next, Reason, UserClaims};
use tonic::Status;

use crate::app::{App, tokens};

/// Refuses users' tokens of companies that are not in service, those from before
/// everyone was signed out, and those that were revoked. The data plane does the same with what the
/// directory tells it; the catalog reads the rows.
pub(crate) struct TenantLayer(pub(crate) Arc<App>);

#[async_trait]
impl Middleware for TenantLayer {
    async fn handle(&self, request: HttpRequest, next: Next) -> HttpResponse {
        let caller = request.extensions().get::<Context>().map(|context| context.caller().clone());
        let refused = match caller {
            Some(Caller::User(claims)) => self.check(&claims).await.err(),
            Some(Caller::Anonymous | Caller::Operator(_) | Caller::Service(_)) | None => None,
        };
        match refused {
            Some(error) => Status::from(error).into_http(),
            None => next.run(request).await,
        }
    }
}

impl TenantLayer {
    async fn check(&self, claims: &UserClaims) -> Result<(), Error> {
        let not_found = || Error::new(Reason::TenantNotFound, "there is no such company");
        let company = tokens::company_of(&self.0, claims.tenant()).await?.ok_or_else(not_found)?;
        // State before epoch: a suspended company's token says so.
        tokens::check_state(&company)?;
        if claims.access_epoch() < company.access_epoch.unsigned_abs() {
            return Err(Error::new(Reason::TokenStale, "the company has signed everyone out; sign in again"));
        }
        tokens::check_revoked(&self.0, claims).await
    }
}

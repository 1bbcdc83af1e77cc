use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderMap;
use tenantry_api::access::{AccessRule, AccessRules};
use tenantry_api::options::v1::CallerKind;
use tenantry_telemetry::propagation;
use tokio::time::Instant;
use tonic::Status;
use tracing::Span;

use super::deadline::Deadline;
use super::{HttpRequest, HttpResponse, Middleware, Next, PendingCheck, is_infrastructure};
use crate::access::{admit, tenant_check};
use crate::auth::Verifier;
use crate::origin::within_call_from;
use crate::tls::Peer;
use crate::{Caller, Context, Error, Origin, Reason};

/// Finds out who calls, applies the RPC's access rule, and makes the context.
pub(crate) struct Authenticate {
    pub(crate) rules: AccessRules,
    pub(crate) verifier: Arc<Verifier>,
}

#[async_trait]
impl Middleware for Authenticate {
    async fn handle(&self, mut request: HttpRequest, next: Next) -> HttpResponse {
        let path = request.uri().path().to_owned();
        if is_infrastructure(&path) {
            return next.run(request).await;
        }
        let Some(rule) = self.rules.get(&path) else {
            let error = Error::new(
                Reason::UnknownMethod,
                "there is no such method here; list the methods by server reflection",
            );
            return Status::from(error).into_http();
        };
        let caller = match self.caller(rule, request.extensions().get(), request.headers()).await {
            Ok(caller) => caller,
            Err(error) => return Status::from(error).into_http(),
        };
        record(&caller);
        if let Err(error) = admit(rule, &caller) {
            return Status::from(error).into_http();
        }
        let check = tenant_check(rule, &caller);
        let deadline = request.extensions().get::<Deadline>();
        let deadline = deadline.map_or_else(Instant::now, |known| if rule.streams { known.stream } else { known.call });
        let origin = request.extensions().get::<Origin>().copied();
        let context = Context::new(caller, &path, deadline, origin).within(rule.plugin.clone()).streaming(rule.streams);
        request.extensions_mut().insert(context);
        if let Some(check) = check {
            request.extensions_mut().insert(PendingCheck(check));
        }
        within_call_from(origin, next.run(request)).await
    }
}

impl Authenticate {
    /// Who the token says; without one, who the certificate of the connection says.
    async fn caller(
        &self,
        rule: &AccessRule,
        certificate: Option<&Arc<Peer>>,
        headers: &HeaderMap,
    ) -> Result<Caller, Error> {
        if rule.admits(CallerKind::Anonymous) {
            return Ok(Caller::Anonymous);
        }
        match certificate {
            Some(certificate) if !headers.contains_key(http::header::AUTHORIZATION) => certificate.caller(),
            _ => {
                let caller = self.verifier.verify(bearer(headers)?).await?;
                certificate.map_or(Ok(()), |certificate| certificate.check_token(&caller))?;
                Ok(caller)
            }
        }
    }
}

/// The token of `authorization: Bearer <token>` (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let missing = || Error::new(Reason::TokenMissing, "send a token as \"authorization: Bearer <token>\"");
    let header = headers.get(http::header::AUTHORIZATION).ok_or_else(missing)?;
    let text = header.to_str().map_err(|_| missing())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() { Ok(token) } else { Err(missing()) }
}

fn record(caller: &Caller) {
    Span::current().record("tenantry.caller", caller.subject());
    if let Caller::User(claims) = caller {
        propagation::concerns(claims.tenant());
    }
}

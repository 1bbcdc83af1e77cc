//! Whether a caller may make a call, by the rule in the proto.

use std::sync::Arc;

use tenantry_api::access::{AccessRule, TenantField};
use tenantry_api::codec::{MessageCheck, text_at};
use tenantry_api::options::v1::CallerKind;
use tenantry_ids::CompanyId;

use crate::{Caller, Error, Reason};

impl Caller {
    fn kind(&self) -> CallerKind {
        match self {
            Caller::Anonymous => CallerKind::Anonymous,
            Caller::User(_) => CallerKind::User,
            Caller::Operator(_) => CallerKind::Operator,
            Caller::Service(_) => CallerKind::Service,
        }
    }
}

/// Lets the caller in, or says why not.
pub(crate) fn admit(rule: &AccessRule, caller: &Caller) -> Result<(), Error> {
    if !rule.admits(caller.kind()) {
        return Err(Error::new(Reason::CallerNotAllowed, "this kind of caller may not make this call"));
    }
    match caller {
        Caller::Anonymous => Ok(()),
        Caller::User(claims) => need_scope(rule, &claims.scopes),
        Caller::Operator(claims) => need_scope(rule, &claims.scopes),
        Caller::Service(name) if rule.services.iter().any(|service| **service == **name) => Ok(()),
        Caller::Service(_) => Err(Error::new(Reason::CallerNotAllowed, "this service may not make this call")),
    }
}

fn need_scope(rule: &AccessRule, scopes: &[String]) -> Result<(), Error> {
    match &rule.scope {
        Some(scope) if scopes.contains(scope) => Ok(()),
        // No rule lets users or operators in without a scope; a call without one is nobody's.
        scope => {
            let scope = scope.clone().unwrap_or_default();
            Err(Error::new(
                Reason::ScopeMissing,
                format!("the token lacks the scope {scope}; ask an owner of the company for a role that has it"),
            )
            .with("scope", scope))
        }
    }
}

/// The check of each request message, where the rule binds this caller to a tenant.
pub(crate) fn tenant_check(rule: &AccessRule, caller: &Caller) -> Option<MessageCheck> {
    let (Some(field), Caller::User(claims)) = (&rule.tenant_field, caller) else { return None };
    let (field, tenant) = (field.clone(), claims.tenant());
    Some(Arc::new(move |message| check_tenant(message, &field, tenant).map_err(Into::into)))
}

fn check_tenant(message: &[u8], field: &TenantField, tenant: CompanyId) -> Result<(), Error> {
    let text = text_at(message, &field.numbers)
        .ok_or_else(|| Error::new(Reason::MalformedMessage, "the bytes are not the request's message"))?;
    if text.eq_ignore_ascii_case(tenant.to_string().as_bytes()) {
        return Ok(());
    }
    let message =
        format!("{} must be the company of the token; sign in to the other company to work with it", field.path);
    Err(Error::new(Reason::OtherTenant, message).with("field", field.path.clone()))
}

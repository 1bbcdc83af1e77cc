//! Lifecycle hooks: services of the operator's own that the pipeline calls.

mod config;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tenantry_api::lifecycle::v1::lifecycle_hook_service_client::LifecycleHookServiceClient;
use tenantry_api::lifecycle::v1::{PrepareTenantRequest, RemoveTenantRequest};
use tenantry_rpc::Reason;
use tenantry_rpc::auth::ServiceIdentity;
use tenantry_rpc::client::{self, ServiceChannel};
use tenantry_rpc::tls::ClientTls;
use tokio::time::Instant;
use tonic::{Code, Status};

pub use config::{HookCalls, HookConfig};

use super::provisioning::StepFailure;
use crate::domain::{Labels, Turn};
use crate::store::entities::company;

/// The hooks of the configuration.
pub(crate) struct Hooks {
    turns: Vec<Turn>,
    /// `None` is retired.
    by_name: BTreeMap<String, Option<Hook>>,
}

struct Hook {
    client: LifecycleHookServiceClient<ServiceChannel>,
    calls: HookCalls,
}

/// What a hook is called about.
pub(crate) struct Call<'a> {
    pub(crate) hook: &'a str,
    pub(crate) company: &'a company::Model,
    /// From 1.
    pub(crate) attempt: i32,
}

impl Hooks {
    /// Connects to none yet; what is wrong with the configuration.
    pub(crate) fn new(
        configured: &[HookConfig],
        tls: &Arc<ClientTls>,
        identity: Option<&Arc<ServiceIdentity>>,
    ) -> Result<Self, String> {
        let mut names = HashSet::new();
        if let Some(twice) = configured.iter().find(|hook| !names.insert(&hook.name)) {
            return Err(format!("there are two lifecycle hooks called {:?}", twice.name));
        }
        let turn = |hook: &HookConfig| {
            let is_blocking = hook.calls.as_ref()?.is_blocking;
            Some(Turn { hook: hook.name.clone(), is_blocking })
        };
        let open = |hook: &HookConfig| {
            let Some(calls) = hook.calls.clone() else { return Ok((hook.name.clone(), None)) };
            let channel = client::open_with(tls, &calls.address, hook.name.as_str(), identity.cloned())
                .map_err(|error| error.to_string())?;
            Ok((hook.name.clone(), Some(Hook { client: LifecycleHookServiceClient::new(channel), calls })))
        };
        Ok(Self {
            turns: configured.iter().filter_map(turn).collect(),
            by_name: configured.iter().map(open).collect::<Result<_, String>>()?,
        })
    }

    /// Those that new companies and purges have steps for, in their order.
    pub(crate) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// Whether there is none at all, not even a retired one.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(crate) async fn prepare(&self, call: &Call<'_>) -> Result<(), StepFailure> {
        let Some(hook) = self.find(call.hook)? else { return Ok(()) };
        let company = call.company;
        let request = PrepareTenantRequest {
            company_id: company.id.to_string(),
            slug: company.slug.clone(),
            name: company.name.clone(),
            labels: Labels::from_json(&company.labels).into_map(),
            region: company.region.clone().unwrap_or_default(),
            plan: company.plan.clone().unwrap_or_default(),
            attempt: call.attempt,
        };
        let request = client::request(request, Instant::now() + hook.calls.timeout);
        let answer = hook.client.clone().prepare_tenant(request).await;
        hook.end(call, answer.map(|answer| answer.into_inner().company_id))
    }

    pub(crate) async fn remove(&self, call: &Call<'_>) -> Result<(), StepFailure> {
        let Some(hook) = self.find(call.hook)? else { return Ok(()) };
        let request = RemoveTenantRequest { company_id: call.company.id.to_string(), attempt: call.attempt };
        let request = client::request(request, Instant::now() + hook.calls.timeout);
        let answer = hook.client.clone().remove_tenant(request).await;
        hook.end(call, answer.map(|answer| answer.into_inner().company_id))
    }

    /// `None` where it is retired.
    fn find(&self, name: &str) -> Result<Option<&Hook>, StepFailure> {
        self.by_name.get(name).map(Option::as_ref).ok_or_else(|| {
            tracing::warn!(hook = name, "a step waits for a hook that this catalog is not configured with");
            StepFailure { reason: Reason::HookNotConfigured, retryable: true }
        })
    }
}

impl Hook {
    /// What its answer means: the company that it says it has done it for, or its refusal.
    fn end(&self, call: &Call<'_>, answer: Result<String, Status>) -> Result<(), StepFailure> {
        let refusal = match answer {
            Ok(company) if company == call.company.id.to_string() => return Ok(()),
            Ok(company) => Status::unknown(format!("the hook answered for {company:?}")),
            Err(status) => status,
        };
        let is_final = matches!(refusal.code(), Code::InvalidArgument | Code::FailedPrecondition);
        let is_last = self.calls.max_attempts.is_some_and(|most| call.attempt.unsigned_abs() >= most);
        let retryable = !is_final && !is_last;
        let (hook, attempt) = (call.hook, call.attempt);
        let (code, message) = (refusal.code(), refusal.message());
        tracing::warn!(hook, attempt, ?code, message, retryable, "a lifecycle hook has not done its step");
        let reason = if is_final { Reason::HookRefused } else { Reason::HookUnavailable };
        Err(StepFailure { reason, retryable })
    }
}

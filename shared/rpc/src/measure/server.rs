use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use tenantry_api::access::AccessRules;
use tenantry_telemetry::metrics::{self, Histogram, KeyValue};

use super::ending::{Call, Measured};
use super::method::Method;
use crate::layers::trace::is_failure_of_ours;
use crate::layers::{HttpRequest, HttpResponse, Middleware, Next, is_infrastructure};

/// Measures every call that a server answers.
pub(crate) struct Measure {
    durations: Histogram<f64>,
    methods: HashMap<String, Arc<Method>>,
    other: Arc<Method>,
    active: Arc<AtomicI64>,
}

impl Measure {
    /// Of the service `name`, whose methods are those with a rule.
    pub(crate) fn new(name: &'static str, rules: &AccessRules) -> Self {
        let methods =
            rules.iter().map(|(path, rule)| (path.to_owned(), Arc::new(Method::new(path, rule.streams, &[]))));
        let active = Arc::new(AtomicI64::new(0));
        let (seen, of_service) = (Arc::downgrade(&active), [KeyValue::new("tenantry.service", name)]);
        metrics::meter()
            .i64_observable_up_down_counter("tenantry.rpc.server.active_calls")
            .with_unit("{call}")
            .with_description("Calls that are being answered")
            .with_callback(move |observer| {
                if let Some(active) = seen.upgrade() {
                    observer.observe(active.load(Ordering::Relaxed), &of_service);
                }
            })
            .build();
        Self {
            durations: metrics::durations("rpc.server.call.duration", "How long calls took that were answered"),
            methods: methods.collect(),
            other: Arc::new(Method::other(&[])),
            active,
        }
    }

    fn method(&self, path: &str) -> &Arc<Method> {
        self.methods.get(path).unwrap_or(&self.other)
    }
}

#[async_trait]
impl Middleware for Measure {
    async fn handle(&self, request: HttpRequest, next: Next) -> HttpResponse {
        if is_infrastructure(request.uri().path()) {
            return next.run(request).await;
        }
        let method = self.method(request.uri().path()).clone();
        let streams = method.streams;
        let call =
            Call::begun(Measured::begin(self.durations.clone(), method, is_failure_of_ours, self.active.clone()));
        // Of one message the end is its beginning: only a stream's body is worth watching.
        call.answered(next.run(request).await, streams)
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn whatever_strangers_call_is_one_method() {
        let rules = AccessRules::of_services(["tenantry.catalog.v1.KeyService"]).expect("rules");
        let measure = Measure::new("test", &rules);
        let name = |path: &str| measure.method(path).ended(Code::Ok, false)[1].value.to_string();
        assert_eq!(name("/tenantry.catalog.v1.KeyService/GetJwks"), "tenantry.catalog.v1.KeyService/GetJwks");
        for made_up in
            ["/tenantry.catalog.v1.KeyService/Made", "/made.up/Up", "/", "", "/tenantry.catalog.v1.KeyService/GetJwks/"]
        {
            assert_eq!(name(made_up), "_OTHER", "{made_up}");
        }
        assert_eq!(measure.methods.len(), rules.iter().count());
    }
}

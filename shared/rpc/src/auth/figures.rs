//! What is to be seen of tokens: how often they are remembered, and how old the keys are.

use std::sync::{Arc, Weak};

use tenantry_telemetry::metrics::{KeyValue, meter};

use super::KeySource;
use super::remembered::Remembering;

/// Has the figures of one verifier read, for as long as it is there. `service` is whose it is.
pub(super) fn observe(service: &str, remembering: &Arc<Remembering>, keys: &Arc<dyn KeySource>) {
    let of_service = KeyValue::new("tenantry.service", service.to_owned());
    observe_lookups(of_service.clone(), Arc::downgrade(remembering));
    observe_entries(of_service.clone(), Arc::downgrade(remembering));
    observe_age(of_service, Arc::downgrade(keys));
}

fn observe_lookups(of_service: KeyValue, remembering: Weak<Remembering>) {
    let [hit, miss] =
        ["hit", "miss"].map(|result| [of_service.clone(), KeyValue::new("tenantry.cache.result", result)]);
    meter()
        .u64_observable_counter("tenantry.token.cache.lookups")
        .with_unit("{lookup}")
        .with_description("Tokens that were looked up among those that were verified before")
        .with_callback(move |observer| {
            if let Some((hits, misses)) = remembering.upgrade().map(|cache| cache.lookups()) {
                observer.observe(hits, &hit);
                observer.observe(misses, &miss);
            }
        })
        .build();
}

fn observe_entries(of_service: KeyValue, remembering: Weak<Remembering>) {
    meter()
        .u64_observable_gauge("tenantry.token.cache.entries")
        .with_unit("{token}")
        .with_description("Verified tokens that are remembered")
        .with_callback(move |observer| {
            if let Some(cache) = remembering.upgrade() {
                observer.observe(cache.entries(), std::slice::from_ref(&of_service));
            }
        })
        .build();
}

fn observe_age(of_service: KeyValue, keys: Weak<dyn KeySource>) {
    meter()
        .f64_observable_gauge("tenantry.token.keys.age")
        .with_unit("s")
        .with_description("How long ago the keys of tokens were fetched")
        .with_callback(move |observer| {
            if let Some(age) = keys.upgrade().and_then(|keys| keys.age()) {
                observer.observe(age.as_secs_f64(), std::slice::from_ref(&of_service));
            }
        })
        .build();
}

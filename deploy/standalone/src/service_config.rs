//! What a stock client should know of our services: gRPC's service config
//! (<https://github.com/grpc/grpc/blob/master/doc/service_config.md>).

use prost_reflect::MethodDescriptor;
use prost_reflect::prost_types::method_options::IdempotencyLevel;
use serde_json::{Value, json};
use tenantry_api::access::{AccessError, descriptor_pool};

/// For every method of the contract, as JSON: all addresses take turns, but for those that do not serve
/// (`healthCheckConfig`); what only reads is retried where a service is away. What writes is not, since a write may have
/// been done whose answer was lost; where `request_id` is given, its caller may.
///
/// # Errors
/// The contract's descriptors cannot be read.
pub fn service_config() -> Result<Value, AccessError> {
    let services = descriptor_pool()?.services();
    let methods = services.flat_map(|service| service.methods().filter(only_reads).collect::<Vec<_>>());
    let mut reads: Vec<_> =
        methods.map(|method| (method.parent_service().full_name().to_owned(), method.name().to_owned())).collect();
    reads.sort();
    let reads: Vec<_> = reads.iter().map(|(service, method)| json!({"service": service, "method": method})).collect();
    Ok(json!({
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": ""},
        "methodConfig": [{
            "name": reads,
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }],
        // A service that is down for long is not called four times as often.
        "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
    }))
}

/// As its `idempotency_level` says.
fn only_reads(method: &MethodDescriptor) -> bool {
    let options = method.method_descriptor_proto().options.as_ref();
    options.is_some_and(|options| options.idempotency_level() == IdempotencyLevel::NoSideEffects)
}

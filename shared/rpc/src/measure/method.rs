use std::sync::{Arc, OnceLock};

use tenantry_telemetry::metrics::KeyValue;
use tonic::Code;

/// The conventions' name of the system.
pub(crate) const SYSTEM: &str = "grpc";

/// gRPC's own name of a code.
pub(crate) fn name_of(code: Code) -> &'static str {
    CODES[code as usize]
}

/// By number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The conventions' name for every method that is none of ours.
pub(super) const OTHER: &str = "_OTHER";

/// One method, with the attributes of its calls by how they end.
pub(super) struct Method {
    common: Vec<KeyValue>,
    by_code: [OnceLock<Box<[KeyValue]>>; CODES.len()],
    /// Whether its answer is a stream, whose end is the call's.
    pub(super) streams: bool,
}

impl Method {
    /// The method at this path of HTTP/2; `of_peer` is what its calls have in common besides.
    pub(super) fn new(path: &str, streams: bool, of_peer: &[KeyValue]) -> Self {
        Self::named(Arc::from(path.trim_start_matches('/')), streams, of_peer)
    }

    /// All methods that are not known.
    pub(super) fn other(of_peer: &[KeyValue]) -> Self {
        Self::named(Arc::from(OTHER), false, of_peer)
    }

    fn named(name: Arc<str>, streams: bool, of_peer: &[KeyValue]) -> Self {
        let mut common = vec![KeyValue::new("rpc.system.name", SYSTEM), KeyValue::new("rpc.method", name)];
        common.extend_from_slice(of_peer);
        Self { common, by_code: [const { OnceLock::new() }; CODES.len()], streams }
    }

    /// The attributes of a call that ended so. `is_error` says whose error it is.
    pub(super) fn ended(&self, code: Code, is_error: bool) -> &[KeyValue] {
        let (slot, name) = (&self.by_code[code as usize], name_of(code));
        slot.get_or_init(|| {
            let mut attributes = self.common.clone();
            attributes.push(KeyValue::new("rpc.response.status_code", name));
            if is_error {
                attributes.push(KeyValue::new("error.type", name));
            }
            attributes.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(method: &Method, code: Code, is_error: bool) -> String {
        let attributes = method.ended(code, is_error).iter();
        attributes.map(|one| format!("{}={}", one.key, one.value)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_code_has_its_name_and_attributes_are_made_once() {
        let method = Method::new("/a.b.C/D", false, &[]);
        assert_eq!(
            text(&method, Code::Ok, false),
            "rpc.system.name=grpc rpc.method=a.b.C/D rpc.response.status_code=OK"
        );
        for (number, known) in CODES.iter().enumerate() {
            let code = Code::from(i32::try_from(number).expect("small"));
            assert_eq!(known.replace('_', ""), format!("{code:?}").to_uppercase());
            assert!(std::ptr::eq(method.ended(code, false), method.ended(code, false)));
        }
        let failed = text(&Method::other(&[KeyValue::new("server.port", 1)]), Code::Internal, true);
        assert_eq!(
            failed,
            "rpc.system.name=grpc rpc.method=_OTHER server.port=1 rpc.response.status_code=INTERNAL error.type=INTERNAL"
        );
    }
}

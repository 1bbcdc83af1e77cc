//! What a tenant may ask of each process of the data plane.

/// 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) requests_per_second: i32,
    pub(crate) concurrent_requests: i32,
    pub(crate) connections: i32,
}

impl Limits {
    /// A company's own, and those of its plan where it has none.
    pub(crate) fn or(self, plan: Self) -> Self {
        let of = |own: i32, plan: i32| if own == 0 { plan } else { own };
        Self {
            requests_per_second: of(self.requests_per_second, plan.requests_per_second),
            concurrent_requests: of(self.concurrent_requests, plan.concurrent_requests),
            connections: of(self.connections, plan.connections),
        }
    }

    /// As the event log tells of them.
    pub(crate) fn to_json(self) -> serde_json::Value {
        let Self { requests_per_second, concurrent_requests, connections } = self;
        serde_json::json!({
            "requests_per_second": requests_per_second, "concurrent_requests": concurrent_requests,
            "connections": connections,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_companys_own_limit_goes_before_its_plans_each_by_itself() {
        let own = Limits { requests_per_second: 5, ..Limits::default() };
        let plan = Limits { requests_per_second: 50, concurrent_requests: 10, connections: 0 };
        assert_eq!(own.or(plan), Limits { requests_per_second: 5, concurrent_requests: 10, connections: 0 });
    }
}

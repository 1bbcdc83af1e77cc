use chrono::{DateTime, Utc};
use tenantry_ids::CompanyId;

/// What a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    ServerUnreachable,
    ServerNotConfigured,
    CatalogUnreachable,
    DatabaseWithoutCompany,
    DatabaseWithoutClaim,
    CompanyWithoutDatabase,
    ClaimWithoutCompany,
    DatabaseWithoutRole,
    HalfMadeRole,
    RoleWithoutDatabase,
    HalfMadeDatabase,
    SpareWithoutDatabase,
    StaleLease,
    Leftover,
    Unrecognized,
}

/// How a finding is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Only when it is named.
    DropNamedDatabase,
    DropRole,
    RestoreRole,
    DropLeftover,
    CloseClaim,
    DropSpare,
}

/// What has become of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Unasked,
    Planned,
    Done,
    /// It was none any more.
    Gone,
    Failed(String),
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    /// Empty where it is about none.
    pub(crate) server: String,
    /// Of the database or the role; empty where it is about none.
    pub(crate) name: String,
    pub(crate) company: Option<CompanyId>,
    pub(crate) since: Option<DateTime<Utc>>,
    pub(crate) detail: String,
    pub(crate) action: Option<Action>,
    pub(crate) outcome: Outcome,
}

impl Finding {
    pub(super) fn new(kind: Kind, server: &str, name: &str, detail: impl Into<String>) -> Self {
        Self {
            kind,
            server: server.to_owned(),
            name: name.to_owned(),
            company: None,
            since: None,
            detail: detail.into(),
            action: None,
            outcome: Outcome::Unasked,
        }
    }

    pub(super) fn of(self, company: Option<CompanyId>) -> Self {
        Self { company, ..self }
    }

    pub(super) fn since(self, since: Option<DateTime<Utc>>) -> Self {
        Self { since, ..self }
    }

    pub(super) fn mended_by(self, action: Action) -> Self {
        Self { action: Some(action), ..self }
    }
}

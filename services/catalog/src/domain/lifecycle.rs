//! A company's life: the one table of what leads from where to where.

use sea_orm::entity::prelude::*;

use Action::*;
use State::*;

/// Where a company is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
pub(crate) enum State {
    #[sea_orm(string_value = "provisioning")]
    Provisioning,
    #[sea_orm(string_value = "active")]
    Active,
    #[sea_orm(string_value = "suspended")]
    Suspended,
    #[sea_orm(string_value = "maintenance")]
    Maintenance,
    #[sea_orm(string_value = "failed")]
    Failed,
    #[sea_orm(string_value = "deleted")]
    Deleted,
    #[sea_orm(string_value = "purged")]
    Purged,
}

/// What can happen to a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Suspend,
    Resume,
    EnterMaintenance,
    LeaveMaintenance,
    Delete,
    Undelete,
    /// Begins the purge; [`Action::FinishPurge`] ends it.
    BeginPurge,
    RetryProvisioning,
    Update,
    /// A new password for its database.
    RotateCredential,
    /// Makes every token older than its epoch.
    SignOutEveryone,
    /// Provisioning is done.
    Activate,
    /// Provisioning gave up.
    Fail,
    FinishPurge,
}

/// A company as far as its life goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) state: State,
    /// The state that it was deleted in, where it is deleted.
    pub(crate) deleted_from: Option<State>,
    /// Whether its purge has begun, which nothing takes back.
    pub(crate) purging: bool,
}

/// What an action leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transition {
    Becomes(State),
    /// The action has had its effect before.
    Already,
}

/// An action that is not for this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) standing: Standing,
    /// The states that it is for.
    pub(crate) allowed: &'static [State],
}

struct Rule {
    from: &'static [State],
    to: Target,
    /// Where the action has had its effect.
    already: &'static [State],
}

enum Target {
    State(State),
    /// The state that the company was deleted in.
    Earlier,
    Unchanged,
}

const NOT_DELETED: &[State] = &[Provisioning, Active, Suspended, Maintenance, Failed];
/// Where tokens are about that may be of use again.
const SIGNED_IN: &[State] = &[Active, Suspended, Maintenance, Deleted];
const NOT_PURGED: &[State] = &[Provisioning, Active, Suspended, Maintenance, Failed, Deleted];

impl Action {
    fn rule(self) -> Rule {
        let rule = |from, to, already| Rule { from, to: Target::State(to), already };
        match self {
            Suspend => rule(&[Active, Maintenance], Suspended, &[Suspended]),
            Resume => rule(&[Suspended], Active, &[Active]),
            EnterMaintenance => rule(&[Active], Maintenance, &[Maintenance]),
            LeaveMaintenance => rule(&[Maintenance], Active, &[Active]),
            Delete => rule(&[Active, Suspended, Maintenance, Failed], Deleted, &[Deleted]),
            Undelete => Rule { from: &[Deleted], to: Target::Earlier, already: NOT_DELETED },
            BeginPurge => rule(&[Deleted, Failed], Deleted, &[Purged]),
            RetryProvisioning => rule(&[Failed], Provisioning, &[Provisioning, Active]),
            Update => Rule { from: NOT_PURGED, to: Target::Unchanged, already: &[] },
            RotateCredential => Rule { from: &[Active, Suspended, Maintenance], to: Target::Unchanged, already: &[] },
            SignOutEveryone => Rule { from: SIGNED_IN, to: Target::Unchanged, already: &[] },
            Activate => rule(&[Provisioning], Active, &[]),
            Fail => rule(&[Provisioning], Failed, &[]),
            FinishPurge => rule(&[Deleted], Purged, &[]),
        }
    }

    /// The states that it leads from.
    pub(crate) fn sources(self) -> &'static [State] {
        self.rule().from
    }

    /// The event that tells of it.
    pub(crate) fn event(self) -> &'static str {
        match self {
            Suspend => "company.suspended",
            Resume => "company.resumed",
            EnterMaintenance => "company.maintenance_entered",
            LeaveMaintenance => "company.maintenance_left",
            Delete => "company.deleted",
            Undelete => "company.undeleted",
            BeginPurge => "company.purge_begun",
            RetryProvisioning => "company.provisioning_retried",
            Update => "company.updated",
            RotateCredential => "company.credential_rotated",
            SignOutEveryone => "company.signed_out",
            Activate => "company.activated",
            Fail => "company.failed",
            FinishPurge => "company.purged",
        }
    }
}

/// Where `action` leads from `standing`.
pub(crate) fn transition(action: Action, standing: Standing) -> Result<Transition, Refusal> {
    let rule = action.rule();
    let refused = Err(Refusal { standing, allowed: rule.from });
    if standing.is_purging() {
        return match action {
            BeginPurge | Delete => Ok(Transition::Already),
            FinishPurge => Ok(Transition::Becomes(Purged)),
            Suspend | Resume | EnterMaintenance | LeaveMaintenance | Undelete | RetryProvisioning | Update
            | RotateCredential | SignOutEveryone | Activate | Fail => refused,
        };
    }
    if rule.already.contains(&standing.state) {
        return Ok(Transition::Already);
    }
    // Only a purge that has begun can end.
    if !rule.from.contains(&standing.state) || action == FinishPurge {
        return refused;
    }
    Ok(Transition::Becomes(match rule.to {
        Target::State(state) => state,
        Target::Earlier => standing.deleted_from.unwrap_or(Suspended),
        Target::Unchanged => standing.state,
    }))
}

impl Standing {
    fn is_purging(self) -> bool {
        self.purging && self.state == Deleted
    }
}

impl State {
    /// As the contract writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Provisioning => "PROVISIONING",
            Active => "ACTIVE",
            Suspended => "SUSPENDED",
            Maintenance => "MAINTENANCE",
            Failed => "FAILED",
            Deleted => "DELETED",
            Purged => "PURGED",
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.allowed.iter().map(|state| state.as_str()).collect();
        let purging = if self.standing.is_purging() { ", and its purge has begun" } else { "" };
        let state = self.standing.state.as_str();
        write!(f, "the company is {state}{purging}; this can be done when it is {}", names.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 7] = [Provisioning, Active, Suspended, Maintenance, Failed, Deleted, Purged];

    /// A letter a state, in the order of [`STATES`]: the state that it becomes, `=` already there, `.` refused.
    const TABLE: [(Action, &str); 14] = [
        (Suspend, ".S=S..."),
        (Resume, ".=A...."),
        (EnterMaintenance, ".M.=..."),
        (LeaveMaintenance, ".=.A..."),
        (Delete, ".DDDD=."),
        (Undelete, "=====M."),
        (BeginPurge, "....DD="),
        (RetryProvisioning, "==..P.."),
        (Update, "PASMFD."),
        (RotateCredential, ".ASM..."),
        (SignOutEveryone, ".ASM.D."),
        (Activate, "A......"),
        (Fail, "F......"),
        (FinishPurge, "......."),
    ];

    /// The same once the purge has begun, which a company that is DELETED alone can be in.
    const PURGING: &str = "....=.=......X";

    fn outcome(action: Action, standing: Standing) -> char {
        match transition(action, standing) {
            Ok(Transition::Already) => '=',
            Ok(Transition::Becomes(Purged)) => 'X',
            Ok(Transition::Becomes(state)) => state.as_str().chars().next().unwrap(),
            Err(_) => '.',
        }
    }

    #[test]
    fn every_action_from_every_state() {
        for (action, expected) in TABLE {
            let standing = |state| Standing {
                state,
                deleted_from: (state == Deleted).then_some(Maintenance),
                purging: state == Purged,
            };
            let got: String = STATES.iter().map(|state| outcome(action, standing(*state))).collect();
            assert_eq!(got, expected, "{action:?}");
        }
    }

    #[test]
    fn nothing_takes_a_purge_back() {
        let standing = Standing { state: Deleted, deleted_from: Some(Active), purging: true };
        let got: String = TABLE.iter().map(|(action, _)| outcome(*action, standing)).collect();
        assert_eq!(got, PURGING);
    }

    #[test]
    fn a_refusal_says_where_the_company_is_and_where_it_would_have_to_be() {
        let standing = Standing { state: Suspended, deleted_from: None, purging: false };
        let refusal = transition(EnterMaintenance, standing).expect_err("a refusal");
        assert_eq!(refusal.to_string(), "the company is SUSPENDED; this can be done when it is ACTIVE");
        let purging = Standing { state: Deleted, deleted_from: Some(Active), purging: true };
        let refusal = transition(Undelete, purging).expect_err("a refusal");
        assert!(refusal.to_string().starts_with("the company is DELETED, and its purge has begun"), "{refusal}");
        let gone = Standing { state: Purged, ..purging };
        let refusal = transition(Undelete, gone).expect_err("a refusal");
        assert_eq!(refusal.to_string(), "the company is PURGED; this can be done when it is DELETED");
    }
}

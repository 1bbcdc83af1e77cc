//! What a role may do: the one table in which roles expand to scopes.

use sea_orm::entity::prelude::*;

/// A role in a company, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
pub(crate) enum Role {
    #[sea_orm(string_value = "viewer")]
    Viewer,
    #[sea_orm(string_value = "member")]
    Member,
    #[sea_orm(string_value = "admin")]
    Admin,
    #[sea_orm(string_value = "owner")]
    Owner,
}

const VIEWER: &[&str] = &[
    "catalog.companies.read",
    "catalog.membership.leave",
    "catalog.password.write",
    "catalog.plugins.read",
    "catalog.sessions.write",
    "catalog.tokens.exchange",
    "crm.people.read",
    "crm.places.read",
    "crm.devices.read",
    "crm.tariffs.read",
    "crm.transactions.read",
    "crm.tickets.read",
    "crm.appliances.read",
    "crm.sms.read",
];
const MEMBER: &[&str] = &[
    "catalog.members.read",
    "crm.people.write",
    "crm.places.write",
    "crm.devices.write",
    "crm.tariffs.write",
    "crm.transactions.write",
    "crm.tickets.write",
    "crm.appliances.write",
    "crm.sms.write",
];
const ADMIN: &[&str] = &[
    "catalog.api_keys.read",
    "catalog.api_keys.write",
    "catalog.events.read",
    "catalog.members.write",
    "catalog.plugins.write",
    "crm.audit.read",
    "crm.company.export",
    "crm.sms.deliver",
];
const OWNER: &[&str] = &["catalog.companies.sign_out"];

/// What a person can have a machine do, and an operator do for a person: work, and nothing about who may.
pub(crate) const DELEGABLE: &[&str] = &[
    "catalog.companies.read",
    "catalog.members.read",
    "crm.people.read",
    "crm.people.write",
    "crm.places.read",
    "crm.places.write",
    "crm.devices.read",
    "crm.devices.write",
    "crm.tariffs.read",
    "crm.tariffs.write",
    "crm.transactions.read",
    "crm.transactions.write",
    "crm.tickets.read",
    "crm.tickets.write",
    "crm.appliances.read",
    "crm.appliances.write",
    "crm.sms.read",
    "crm.sms.write",
    "crm.sms.deliver",
];

/// What a person has to sign in here for: what reaches beyond the one company, or is about the account itself. Whoever
/// vouches for somebody in a company must not get into the others that they belong to.
pub(super) const SIGNED_IN_HERE: &[&str] =
    &["catalog.password.write", "catalog.sessions.write", "catalog.tokens.exchange"];

/// What operators may do. Nothing in a company's database: for that they act for
/// one of its users, by token exchange.
pub(crate) const OPERATOR_SCOPES: &[&str] = &[
    "catalog.companies.read",
    "catalog.companies.write",
    "catalog.companies.list",
    "catalog.companies.sign_out",
    "catalog.events.read",
    "catalog.plans.read",
    "catalog.plans.write",
    "catalog.plugins.read",
    "catalog.plugins.write",
    "catalog.passwords.reset",
    "catalog.issuers.read",
    "catalog.issuers.write",
    "catalog.keys.read",
    "catalog.keys.write",
    "catalog.servers.read",
    "catalog.servers.write",
    "catalog.sessions.write",
    "catalog.tokens.exchange",
    "migrator.databases.read",
    "migrator.databases.write",
    "migrator.rollouts.read",
    "migrator.rollouts.write",
];

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Member => "member",
            Role::Admin => "admin",
            Role::Owner => "owner",
        }
    }

    /// The scopes of the role: its own and those of the weaker ones.
    pub(crate) fn scopes(self) -> Vec<&'static str> {
        let own = [(Role::Viewer, VIEWER), (Role::Member, MEMBER), (Role::Admin, ADMIN), (Role::Owner, OWNER)];
        own.iter().filter(|(role, _)| *role <= self).flat_map(|(_, scopes)| scopes.iter().copied()).collect()
    }

    /// Whether someone of this role can give `other`, or take it away: nobody raises
    /// anybody above themselves.
    pub(crate) fn can_grant(self, other: Role) -> bool {
        self >= Role::Admin && other <= self
    }
}

impl std::str::FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "viewer" => Ok(Role::Viewer),
            "member" => Ok(Role::Member),
            "admin" => Ok(Role::Admin),
            "owner" => Ok(Role::Owner),
            _ => Err("must be owner, admin, member or viewer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_role_has_what_the_weaker_one_has() {
        let scopes = |role: Role| role.scopes().into_iter().collect::<BTreeSet<_>>();
        assert!(scopes(Role::Viewer).is_subset(&scopes(Role::Member)));
        assert!(scopes(Role::Member).is_subset(&scopes(Role::Admin)));
        assert!(scopes(Role::Admin).is_subset(&scopes(Role::Owner)));
        assert!(!scopes(Role::Viewer).contains("crm.people.write"));
    }

    #[test]
    fn what_is_delegated_is_somebodys_and_gives_no_access() {
        assert!(DELEGABLE.iter().all(|scope| Role::Owner.scopes().contains(scope)));
        assert!(!DELEGABLE.iter().any(|scope| scope.starts_with("catalog.") && scope.ends_with(".write")));
    }

    #[test]
    fn only_owners_make_owners_and_members_make_nobody() {
        assert!(Role::Owner.can_grant(Role::Owner));
        assert!(Role::Admin.can_grant(Role::Admin) && !Role::Admin.can_grant(Role::Owner));
        assert!(!Role::Member.can_grant(Role::Viewer));
    }
}

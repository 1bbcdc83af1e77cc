//! Every identifier of the system, each its own type, from one list.
//!
//! An id is a UUIDv7 (RFC 9562): unguessable enough to be public, ordered by
//! creation time so that it pages well and keeps B-trees dense. On the wire it
//! is lower-case hyphenated text; in a database the engine's own UUID form.
//!
//! To add one, add a line to the `ids!` list below. Making a new id takes the
//! clock's milliseconds and randomness as parameters ([`IdSource`]), so that a
//! test can fix both.

mod base32;

use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not an id: the caller sent something else than a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind} id: expected a UUID like 0192f0c1-7e57-7000-8000-000000000000")]
pub struct ParseIdError {
    /// What the id would have named, such as `company`.
    pub kind: &'static str,
}

/// Where new ids come from.
pub trait IdSource: Send + Sync {
    /// A fresh UUIDv7.
    fn uuid(&self) -> Uuid;
}

/// The system's clock and random generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    #[allow(clippy::disallowed_methods)] // The one place that makes ids.
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, DeriveValueType)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// What this id names, for messages.
            pub const KIND: &'static str = $kind;

            /// A new id from `source`.
            pub fn new(source: &dyn IdSource) -> Self {
                Self(source.uuid())
            }

            /// The id as 26 lower-case base32 characters (Crockford's alphabet),
            /// which sort as the ids do. For names of databases and roles.
            pub fn to_base32(self) -> String {
                base32::encode(self.0.as_u128())
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        /// SeaORM asks this of every primary key, for keys that the database makes.
        impl sea_orm::TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($name)))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = ParseIdError;

            /// Accepts the hyphenated form only, in either case: one id, one text.
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let error = ParseIdError { kind: $kind };
                if text.len() != uuid::fmt::Hyphenated::LENGTH {
                    return Err(error);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| error)
            }
        }
    )+};
}

ids! {
    /// A company, which is a tenant.
    CompanyId = "company";
    /// A tenant's database; its name derives from this, never from input.
    DatabaseId = "database";
    /// A person who signs in, in the central database.
    UserId = "user";
    /// Someone who operates the fleet; never a user.
    OperatorId = "operator";
    /// An invitation of an e-mail address into a company.
    InvitationId = "invitation";
    /// A secret by which a user chooses a new password.
    PasswordResetId = "password reset";
    /// A sign-in that goes on.
    SessionId = "session";
    /// A key of a company's machine.
    ApiKeyId = "api_key";
    /// Who works in a company: a user or a machine, with the one's id or the other's.
    PrincipalId = "user or API key";
    /// Somebody else who issues tokens that are exchanged for ours.
    IssuerId = "issuer";
    /// A signing key.
    KeyId = "key";
    /// An event of the catalog's log.
    EventId = "event";
    /// One run of migrations.
    RunId = "run";
    /// One change of the schema for many databases.
    RolloutId = "rollout";
    /// A person in a company's CRM.
    PersonId = "person";
    /// A country, a city or a site in a company's CRM.
    PlaceId = "place";
    /// Where a person is reached.
    AddressId = "address";
    /// Who makes devices.
    ManufacturerId = "manufacturer";
    /// What energy and access cost.
    TariffId = "tariff";
    /// A meter, a solar home system or an e-bike.
    DeviceId = "device";
    /// What a person owes.
    DebtId = "debt";
    /// Money that came in or went out.
    TransactionId = "transaction";
    /// What somebody has to look after.
    TicketId = "ticket";
    /// What somebody wrote to a ticket.
    TicketCommentId = "ticket comment";
    /// What tickets are about.
    TicketCategoryId = "ticket category";
    /// Something that a company sells.
    ApplianceId = "appliance";
    /// An appliance that was sold.
    SaleId = "sale";
    /// What text messages are written from.
    SmsTemplateId = "sms template";
    /// A text message.
    SmsId = "sms";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_only_the_hyphenated_form_is_read() {
        let id = CompanyId::new(&SystemIds);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        for bad in ["", "1", &id.0.simple().to_string(), &format!("{{{id}}}"), &format!("{id} ")] {
            assert_eq!(bad.parse::<CompanyId>(), Err(ParseIdError { kind: "company" }), "{bad}");
        }
    }

    #[test]
    fn base32_keeps_the_order_and_the_length() {
        let ids = [0, 1, 31, 32, u128::MAX / 2, u128::MAX].map(|n| CompanyId(Uuid::from_u128(n)).to_base32());
        assert!(ids.iter().all(|text| text.len() == 26));
        assert!(ids.is_sorted());
        assert_eq!(ids[5], "7zzzzzzzzzzzzzzzzzzzzzzzzz");
    }
}

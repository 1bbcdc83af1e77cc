//! What every kind of thing that callers write has in common.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tenantry_rpc::Reason;
use uuid::Uuid;

/// A kind of thing in a company's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thing {
    Person,
    Place,
    Address,
    Device,
    Manufacturer,
    Tariff,
    Transaction,
    Debt,
    Ticket,
    TicketComment,
    TicketCategory,
    Appliance,
    Sale,
    SmsTemplate,
    Sms,
}

impl Thing {
    /// Its name in sentences, and in the audit trail with `_` for blanks.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Place => "place",
            Self::Address => "address",
            Self::Device => "device",
            Self::Manufacturer => "manufacturer",
            Self::Tariff => "tariff",
            Self::Transaction => "transaction",
            Self::Debt => "debt",
            Self::Ticket => "ticket",
            Self::TicketComment => "ticket comment",
            Self::TicketCategory => "ticket category",
            Self::Appliance => "appliance",
            Self::Sale => "sale",
            Self::SmsTemplate => "sms template",
            Self::Sms => "sms",
        }
    }

    /// What a caller gets who asks for one that is not there.
    pub(crate) fn not_found(self) -> Reason {
        match self {
            Self::Person => Reason::PersonNotFound,
            Self::Place => Reason::PlaceNotFound,
            Self::Address => Reason::AddressNotFound,
            Self::Device => Reason::DeviceNotFound,
            Self::Manufacturer => Reason::ManufacturerNotFound,
            Self::Tariff => Reason::TariffNotFound,
            Self::Transaction => Reason::TransactionNotFound,
            Self::Debt => Reason::DebtNotFound,
            // A comment goes with its ticket.
            Self::Ticket | Self::TicketComment => Reason::TicketNotFound,
            Self::TicketCategory => Reason::TicketCategoryNotFound,
            Self::Appliance => Reason::ApplianceNotFound,
            Self::Sale => Reason::SaleNotFound,
            Self::SmsTemplate => Reason::SmsTemplateNotFound,
            Self::Sms => Reason::SmsNotFound,
        }
    }
}

/// What a thing holds besides its id and its times. Serialised, it is the thing's state in the audit trail.
pub(crate) trait Content: Clone + Send + Sync + Serialize {
    type Id: Copy + Send + Sync + From<Uuid> + Into<Uuid>;
    const THING: Thing;
}

/// A thing as stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored<T: Content> {
    pub(crate) id: T::Id,
    pub(crate) content: T,
    /// Goes up by one with every change: the etag.
    pub(crate) revision: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

impl<T: Content> Stored<T> {
    pub(crate) fn new(id: Uuid, content: T, now: DateTime<Utc>) -> Self {
        Self { id: id.into(), content, revision: 1, created_at: now, updated_at: now }
    }

    /// The thing after a change.
    pub(crate) fn changed(&self, content: T, now: DateTime<Utc>) -> Self {
        Self { content, revision: self.revision + 1, updated_at: now, ..self.clone() }
    }

    pub(crate) fn uuid(&self) -> Uuid {
        self.id.into()
    }

    /// For the audit trail.
    pub(crate) fn state(&self) -> serde_json::Value {
        let mut state = serde_json::to_value(&self.content).unwrap_or_default();
        if let Some(fields) = state.as_object_mut() {
            fields.insert("revision".to_owned(), self.revision.into());
        }
        state
    }
}

/// The fields that a change is about.
pub(crate) type Mask = Vec<&'static str>;

/// What can be changed field by field, as an update mask names the fields.
pub(crate) trait Writable: Clone {
    const FIELDS: &'static [&'static str];

    /// The field of a mask's path.
    fn field(path: &str) -> Option<&'static str>;

    fn take(&mut self, field: &str, other: &Self);

    /// This with the fields of `mask` taken from `other`.
    fn with(mut self, other: &Self, mask: &[&str]) -> Self {
        for field in mask {
            self.take(field, other);
        }
        self
    }
}

/// Declares what a thing holds; what is in brackets is set when it is made and does not change with an update. After
/// `=` come the paths of a field whose parts have names of their own.
macro_rules! writable {
    (
        $(#[$meta:meta])*
        $name:ident $([$($fixed:ident: $fixed_type:ty),+])? {
            $($(#[$field_meta:meta])* $field:ident: $type:ty $(= $($part:literal)|+)?,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        pub(crate) struct $name {
            $($(pub(crate) $fixed: $fixed_type,)+)?
            $($(#[$field_meta])* pub(crate) $field: $type,)+
        }

        impl $crate::domain::Writable for $name {
            const FIELDS: &'static [&'static str] = &[$(stringify!($field)),+];

            fn field(path: &str) -> Option<&'static str> {
                match path {
                    $(stringify!($field) $($(| $part)+)? => Some(stringify!($field)),)+
                    _ => None,
                }
            }

            fn take(&mut self, field: &str, other: &Self) {
                match field {
                    $(stringify!($field) => self.$field.clone_from(&other.$field),)+
                    _ => {}
                }
            }
        }
    };
}

pub(crate) use writable;

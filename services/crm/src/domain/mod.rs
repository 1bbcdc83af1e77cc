//! What the things of a CRM are. Pure: no I/O, no clock.

mod address;
mod content;
mod device;
mod fields;
mod money;
mod payment;
mod person;
mod place;
pub(crate) mod sale;
pub(crate) mod search;
pub(crate) mod sms;
mod ticket;
pub(crate) mod transfer;

pub(crate) use address::{Address, email, phone};
pub(crate) use content::{Content, Mask, Stored, Thing, Writable};
pub(crate) use device::{Details, Device, DeviceKind, EBike, Manufacturer, Meter, SolarHomeSystem, Tariff};
pub(crate) use fields::Fields;
pub(crate) use money::{Amount, Currency, Money};
pub(crate) use payment::{
    Account, Allocation, AllocationKind, Debt, Effect, Order, Target, Transaction, TransactionKind,
};
pub(crate) use person::{Labels, PersonKind, Profile, labels};
pub(crate) use place::{Place, PlaceKind, country_code};
pub(crate) use sale::{Appliance, Instalment, Sale};
pub(crate) use sms::{Sms, SmsState, SmsTemplate};
pub(crate) use ticket::{Ticket, TicketCategory, TicketComment, TicketStatus, colour};

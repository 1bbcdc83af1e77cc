//! What the standard methods have in common (AIP-130 to 135).

use chrono::{DateTime, Datelike, NaiveDate, SubsecRound, Utc};
use prost::Message;
use prost_types::{FieldMask, Timestamp};
use tenantry_api::crm::v1::{Date, Money as Wire};
use tenantry_idempotency::{Fingerprint, Key};
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Context, Error, Violations, parse_field};
use tonic::{Response, Status};
use uuid::Uuid;

use crate::app::{Change, CrmError, Replay};
use crate::domain::{Amount, Content, Currency, Fields, Mask, Money, Stored, Writable};
use crate::store::table::Table;

pub(super) fn respond<T>(result: Result<T, CrmError>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| Error::from(error).into())
}

/// The `request_id` of a request, with what tells a repetition from a reuse.
pub(super) fn replay(violations: &mut Violations, context: &Context, request_id: &str, body: &impl Message) -> Replay {
    let fits = request_id.is_empty() || Uuid::try_parse(request_id).is_ok();
    violations.check(fits, "request_id", "must be a UUID, or empty");
    let key = || Key {
        caller: context.caller().subject(),
        method: context.method().to_owned(),
        request_id: request_id.to_ascii_lowercase(),
    };
    (!request_id.is_empty()).then(|| (key(), Fingerprint::of(&body.encode_to_vec())))
}

/// Parses a request that makes a thing: `parse` reads the message named `message`.
pub(super) fn creation<T: Content>(
    context: &Context,
    message: &'static str,
    (request_id, body): (&str, &impl Message),
    parse: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> Result<(T, Replay), Error> {
    let mut violations = Violations::new();
    let content = parse(&mut Fields::all(&mut violations, message));
    let replay = replay(&mut violations, context, request_id, body);
    violations.finish(content.map(|content| (content, replay)))
}

/// A gRPC service with the five standard methods, and more if it has any. The module that declares it has the
/// functions `parse` (a message), `set` (which of its fields are), `parse_list` (a list's filters) and `convert` (into
/// a message).
macro_rules! standard_service {
    (
        $grpc:ident: $service:ident of $table:ident as $field:ident {
            $create:ident($create_request:ident),
            $get:ident($get_request:ident),
            $update:ident($update_request:ident),
            $delete:ident($delete_request:ident),
            $($list:ident($list_request:ident) -> $list_response:ident.$rows:ident,)?
        }
        $($more:item)*
    ) => {
        pub(crate) struct $grpc(pub(crate) std::sync::Arc<$crate::app::App>);

        #[tonic::async_trait]
        impl $service for $grpc {
            async fn $create(&self, request: Request<$create_request>) -> Result<Response<Wire>, Status> {
                let call = Call::open(request)?;
                let wire = call.body.$field.clone().unwrap_or_default();
                let request = (call.body.request_id.as_str(), &call.body);
                let (content, replay) =
                    standard::creation(&call.context, stringify!($field), request, |fields| parse(fields, &wire))?;
                let db = call.tenant_db()?;
                let created = app::create::<$table>(&self.0, &db, &call.context, &content, &replay);
                standard::respond(created.await.map(convert))
            }

            async fn $get(&self, request: Request<$get_request>) -> Result<Response<Wire>, Status> {
                let call = Call::open(request)?;
                let id = standard::id::<$table>(&call.body.id)?;
                standard::respond(app::get::<$table>(&call.tenant_db()?, id).await.map(convert))
            }

            async fn $update(&self, request: Request<$update_request>) -> Result<Response<Wire>, Status> {
                let call = Call::open(request)?;
                let wire = call.body.$field.clone().unwrap_or_default();
                let (id, etag, mask) = (&*wire.id, &*wire.etag, call.body.update_mask.as_ref());
                let head = standard::Head { message: stringify!($field), id, etag, mask, set: set(&wire) };
                let change = standard::change(head, |fields| parse(fields, &wire))?;
                let db = call.tenant_db()?;
                let updated = app::update::<$table>(&self.0, &db, &call.context, &change);
                standard::respond(updated.await.map(convert))
            }

            async fn $delete(&self, request: Request<$delete_request>) -> Result<Response<()>, Status> {
                let call = Call::open(request)?;
                let (id, revision) = standard::removal(&call.body.id, &call.body.etag)?;
                let db = call.tenant_db()?;
                let deleted = app::delete::<$table>(&self.0, &db, &call.context, id, revision);
                standard::respond(deleted.await)
            }

            $(async fn $list(&self, request: Request<$list_request>) -> Result<Response<$list_response>, Status> {
                let call = Call::open(request)?;
                let (filter, list) = parse_list(&call.body)?;
                let rows = app::list::<$table>(&call.tenant_db()?, filter, &list.page).await;
                standard::respond(rows.map(|rows| {
                    let ($rows, next_page_token) = list.cut(rows, convert);
                    $list_response { $rows, next_page_token }
                }))
            })?

            $($more)*
        }
    };
}
pub(super) use standard_service;

/// The part of an update that is the same for all.
pub(super) struct Head<'a> {
    pub(super) message: &'static str,
    pub(super) id: &'a str,
    pub(super) etag: &'a str,
    pub(super) mask: Option<&'a FieldMask>,
    /// Which fields have a value, for an empty mask: [`set_fields!`].
    pub(super) set: Mask,
}

/// Parses a request that changes a thing. Fields that are not in the mask are not checked: they are not written.
pub(super) fn change<T>(head: Head<'_>, parse: impl FnOnce(&mut Fields<'_>) -> Option<T>) -> Result<Change<T>, Error>
where
    T: Content + Writable,
    T::Id: std::str::FromStr<Err: std::fmt::Display>,
{
    let mut violations = Violations::new();
    let id = violations.parse(&format!("{}.id", head.message), head.id);
    let revision = violations.etag(&format!("{}.etag", head.message), head.etag);
    let paths = head.mask.map(|mask| &*mask.paths).unwrap_or_default();
    let mask = mask::<T>(&mut violations, paths, head.set);
    let content = parse(&mut Fields::of(&mut violations, head.message, &mask));
    violations.finish(id.zip(content).map(|(id, content)| Change { id, revision, content, mask }))
}

/// The fields that a mask names (AIP-134): an empty one names every field that is set, `*` names all.
pub(super) fn mask<T: Writable>(violations: &mut Violations, paths: &[String], set: Mask) -> Mask {
    if paths.iter().any(|path| path == "*") {
        return T::FIELDS.to_vec();
    }
    if paths.is_empty() {
        return set.into_iter().filter(|field| T::FIELDS.contains(field)).collect();
    }
    let mut fields = Mask::new();
    for path in paths {
        match T::field(path) {
            Some(field) => fields.push(field),
            None => violations.add("update_mask", format!("{path:?} is no field that can be changed")),
        }
    }
    fields
}

/// The names of those fields of a message that are not at their default.
macro_rules! set_fields {
    ($wire:expr; $($field:ident),+ $(,)?) => {{
        let mut set = $crate::domain::Mask::new();
        $(if $crate::grpc::standard::is_set(&$wire.$field) {
            set.push(stringify!($field));
        })+
        set
    }};
}
pub(super) use set_fields;

pub(super) fn is_set<T: Default + PartialEq>(value: &T) -> bool {
    *value != T::default()
}

/// The id of a request that reads a thing.
pub(super) fn id<T: Table>(id: &str) -> Result<Uuid, Error>
where
    <T::Content as Content>::Id: std::str::FromStr<Err: std::fmt::Display>,
{
    parse_field::<<T::Content as Content>::Id>("id", id).map(Into::into)
}

/// The id and the etag of a request that removes a thing.
pub(super) fn removal<I>(id: &str, etag: &str) -> Result<(I, Option<i64>), Error>
where
    I: std::str::FromStr<Err: std::fmt::Display>,
{
    let mut violations = Violations::new();
    let id = violations.parse("id", id);
    let revision = violations.etag("etag", etag);
    violations.finish(id.map(|id| (id, revision)))
}

/// A page of a list with filters: its tokens are of this list with these filters.
pub(super) struct ListPage {
    pub(super) page: Page,
    list: String,
}

impl ListPage {
    /// `filters` are the request's own, as the caller wrote them.
    pub(super) fn parse(
        violations: &mut Violations,
        name: &str,
        filters: &[&dyn std::fmt::Debug],
        page_size: i32,
        page_token: &str,
    ) -> Self {
        let list = format!("{name}{filters:?}");
        Self { page: Page::parse(violations, &list, page_size, page_token), list }
    }

    /// The page of `rows`, read with one more than it holds, and the token of the next.
    pub(super) fn cut<T: Content, W>(
        &self,
        rows: Vec<Stored<T>>,
        convert: impl Fn(Stored<T>) -> W,
    ) -> (Vec<W>, String) {
        self.cut_by(rows, Stored::uuid, convert)
    }

    /// The same of rows that are no things.
    pub(super) fn cut_by<R, W>(
        &self,
        mut rows: Vec<R>,
        id: impl Fn(&R) -> Uuid,
        convert: impl Fn(R) -> W,
    ) -> (Vec<W>, String) {
        let next = self.page.cut(&self.list, &mut rows, id);
        (rows.into_iter().map(convert).collect(), next)
    }
}

pub(super) fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: time.timestamp(), nanos: time.timestamp_subsec_nanos().cast_signed() }
}

pub(super) fn date(date: NaiveDate) -> Date {
    let small = |part: u32| i32::try_from(part).unwrap_or_default();
    Date { year: date.year(), month: small(date.month()), day: small(date.day()) }
}

/// A date of the years 1 to 9999; others have no place in every engine.
pub(super) fn parse_date(date: &Date) -> Option<NaiveDate> {
    let part = |part: i32| u32::try_from(part).ok();
    let parsed =
        part(date.month).zip(part(date.day)).and_then(|(month, day)| NaiveDate::from_ymd_opt(date.year, month, day));
    parsed.filter(|date| (1..=9999).contains(&date.year()))
}

/// A filter that is a text of some form, such as an id; empty is none.
pub(super) fn optional<T>(violations: &mut Violations, field: &str, text: &str) -> Option<T>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    if text.is_empty() { None } else { violations.parse(field, text) }
}

pub(super) fn text(id: Option<impl std::fmt::Display>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

pub(super) fn moment(time: &Timestamp) -> Option<DateTime<Utc>> {
    let nanos = u32::try_from(time.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    let parsed = DateTime::from_timestamp(time.seconds, nanos).filter(|time| (1..=9999).contains(&time.year()))?;
    Some(parsed.trunc_subsecs(6))
}

/// A list without filters.
pub(super) fn plain_list(
    name: &str,
    page_size: i32,
    page_token: &str,
) -> Result<(sea_orm::Condition, ListPage), Error> {
    let mut violations = Violations::new();
    let list = ListPage::parse(&mut violations, name, &[], page_size, page_token);
    violations.finish(Some((sea_orm::Condition::all(), list)))
}

pub(super) fn money(money: Money) -> Wire {
    let Money { currency, amount } = money;
    Wire { currency_code: currency.as_str().to_owned(), units: amount.units(), nanos: amount.nanos() }
}

/// An amount of money in a field of that name; what is wrong is noted.
pub(super) fn parse_money(fields: &mut Fields<'_>, field: &str, wire: &Wire) -> Option<Money> {
    let currency = wire.currency_code.parse::<Currency>();
    if let Err(description) = currency {
        fields.check(false, &format!("{field}.currency_code"), description);
    }
    let amount = Amount::new(wire.units, wire.nanos);
    let description = "must be less than a unit, and of the sign of units";
    fields.check(amount.is_some(), &format!("{field}.nanos"), description);
    Some(Money { currency: currency.ok()?, amount: amount? })
}

/// The same of a field that is in no message but the request.
pub(super) fn top_money(violations: &mut Violations, field: &str, wire: &Wire) -> Option<Money> {
    let currency = violations.parse::<Currency>(&format!("{field}.currency_code"), &wire.currency_code);
    let amount = Amount::new(wire.units, wire.nanos);
    let description = "must be less than a unit, and of the sign of units";
    violations.check(amount.is_some(), &format!("{field}.nanos"), description);
    Some(Money { currency: currency?, amount: amount? })
}

/// In place of an amount that is missing, which is noted, or not read.
pub(super) fn no_money() -> Money {
    Money { currency: Currency::stored("XXX".to_owned()), amount: Amount::ZERO }
}

/// One end of a range of amounts, in the currency that the filter names.
pub(super) fn bound(
    violations: &mut Violations,
    field: &str,
    wire: Option<&Wire>,
    currency: Option<&Currency>,
) -> Option<Amount> {
    let wire = wire?;
    let own = wire.currency_code.is_empty() || currency.is_some_and(|own| own.as_str() == wire.currency_code);
    violations.check(own, field, "must be in the filter's currency_code");
    violations.check(currency.is_some(), "filter.currency_code", "must be set, for a range of amounts");
    let amount = Amount::new(wire.units, wire.nanos);
    violations.check(amount.is_some(), field, "must have nanos of less than a unit, and of the sign of units");
    amount
}

/// One end of a range of time.
pub(super) fn optional_moment(
    violations: &mut Violations,
    field: &str,
    wire: Option<&Timestamp>,
) -> Option<DateTime<Utc>> {
    let parsed = moment(wire?);
    violations.check(parsed.is_some(), field, "must be a time of the years 1 to 9999");
    parsed
}

/// What a list is sorted by (AIP-132), and whether the other way round: one of the fields, the first where none is
/// named.
pub(super) fn order<F: Copy>(violations: &mut Violations, order_by: &str, fields: &[(&str, F)]) -> (F, bool) {
    let mut words = order_by.split_whitespace();
    let (field, direction, rest) = (words.next(), words.next(), words.next());
    let found = match field {
        Some(field) => fields.iter().find(|(name, _)| *name == field),
        None => fields.first(),
    };
    let descending = direction == Some("desc");
    if found.is_none() || rest.is_some() || !matches!(direction, None | Some("asc" | "desc")) {
        let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
        violations.add("order_by", format!("must be one of {}, or one of them and \" desc\"", names.join(", ")));
    }
    (found.unwrap_or(&fields[0]).1, descending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_sorted_by_one_field_and_one_direction() {
        let read = |text: &str| {
            let mut violations = Violations::new();
            let order = order(&mut violations, text, &[("a", 1), ("b", 2)]);
            violations.into_result().map(|()| order).ok()
        };
        assert_eq!(read(""), Some((1, false)));
        assert_eq!(read("b"), Some((2, false)));
        assert_eq!(read(" b  asc "), Some((2, false)));
        assert_eq!(read("b desc"), Some((2, true)));
        assert!(["c", "a b", "a desc b", "desc", "a, b", "a DESC"].iter().all(|text| read(text).is_none()));
    }

    #[test]
    fn moments_are_of_the_years_that_every_engine_has() {
        let at = |seconds, nanos| moment(&Timestamp { seconds, nanos });
        assert_eq!(at(0, 999_999_999).map(|time| time.timestamp_subsec_nanos()), Some(999_999_000));
        assert!(at(253_402_300_799, 0).is_some() && at(253_402_300_800, 0).is_none());
        assert!(at(-62_135_596_800, 0).is_some() && at(-62_135_596_801, 0).is_none());
        assert!(at(0, -1).is_none() && at(0, 1_000_000_000).is_none());
    }
}

//! How a column is written: as the messages of the contract have it, in JSON.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement, SimpleExpr};
use sea_orm::{DbErr, QueryResult, TryGetable, Value};
use serde_json::{Number, Value as Json};
use uuid::Uuid;

use crate::domain::Amount;

/// The largest whole number that everybody who reads JSON reads exactly (RFC 8259, 6).
const MOST_EXACT: u64 = 1 << 53;

/// A column, or the two of an amount, and the field that it is in an export.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The field.
    pub field: &'static str,
    /// The column; of an amount without `_units` and `_nanos`.
    pub column: &'static str,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Uuid,
    Text,
    /// A value of an enum: in capitals, as the contract has it.
    Name,
    Flag,
    /// A number of 32 bits.
    Number,
    /// One of 64 bits, as text.
    Long,
    Double,
    Date,
    /// A moment.
    Time,
    Json,
    /// Units and nanos, as a decimal.
    Amount,
    /// The text of another table's row, whose id is in the column `by`.
    Of {
        table: &'static str,
        by: &'static str,
    },
}

macro_rules! forms {
    ($($(#[$doc:meta])* $name:ident: $form:ident,)+) => {
        $($(#[$doc])* pub(super) const fn $name(column: &'static str) -> Column {
            Column { field: column, column, form: Form::$form }
        })+
    };
}

forms! {
    uuid: Uuid,
    text: Text,
    name: Name,
    flag: Flag,
    number: Number,
    long: Long,
    double: Double,
    date: Date,
    time: Time,
    json: Json,
    amount: Amount,
}

/// What `column` is in the row of `table` whose id is in the column `by`.
pub(super) const fn of(table: &'static str, by: &'static str, column: &'static str) -> Column {
    Column { field: column, column, form: Form::Of { table, by } }
}

impl Column {
    /// The same under the name that the contract has for it.
    pub(super) const fn named(self, field: &'static str) -> Self {
        Self { field, ..self }
    }

    /// The columns of the table itself.
    pub(super) fn own(&self) -> Vec<String> {
        match self.form {
            Form::Amount => vec![self.part("units"), self.part("nanos")],
            Form::Of { .. } => Vec::new(),
            _ => vec![self.column.to_owned()],
        }
    }

    pub(super) fn select(&self, table: &'static str, query: &mut SelectStatement) {
        match self.form {
            Form::Amount => {
                query.column((table, Alias::new(self.part("units"))));
                query.column((table, Alias::new(self.part("nanos"))));
            }
            Form::Of { table: other, by } => {
                let mut row = Query::select();
                row.column((other, self.column)).from(other);
                row.and_where(Expr::col((other, "id")).equals((table, by)));
                query.expr_as(SimpleExpr::SubQuery(None, Box::new(row.into())), self.column);
            }
            _ => {
                query.column((table, self.column));
            }
        }
    }

    /// The value; null where it is not set.
    pub(super) fn read(&self, row: &QueryResult) -> Result<Json, DbErr> {
        let value = match self.form {
            Form::Uuid => self.get::<Uuid>(row)?.map(|id| id.hyphenated().to_string().into()),
            Form::Text | Form::Of { .. } => self.get::<String>(row)?.map(Json::String),
            Form::Name => self.get::<String>(row)?.map(|name| name.to_ascii_uppercase().into()),
            Form::Flag => self.get::<bool>(row)?.map(Json::Bool),
            Form::Number => self.get::<i32>(row)?.map(Json::from),
            Form::Long => self.get::<i64>(row)?.map(|long| long.to_string().into()),
            Form::Double => self.get::<f64>(row)?.and_then(Number::from_f64).map(Json::Number),
            Form::Date => self.get::<NaiveDate>(row)?.map(|date| date.format("%Y-%m-%d").to_string().into()),
            Form::Time => self.get::<DateTime<Utc>>(row)?.map(moment),
            Form::Json => self.get::<Json>(row)?.map(exact),
            Form::Amount => {
                let (units, nanos) = (row.try_get("", &self.part("units"))?, row.try_get("", &self.part("nanos"))?);
                Some(Amount::stored(units, nanos).to_string().into())
            }
        };
        Ok(value.unwrap_or_default())
    }

    /// The value as one of a key, to go on after.
    pub(super) fn key(&self, row: &QueryResult) -> Result<Value, DbErr> {
        Ok(match self.form {
            Form::Uuid => row.try_get::<Uuid>("", self.column)?.into(),
            Form::Number => row.try_get::<i32>("", self.column)?.into(),
            Form::Text => row.try_get::<String>("", self.column)?.into(),
            _ => return Err(DbErr::Type(format!("{} cannot be of a key", self.column))),
        })
    }

    fn get<T: TryGetable>(&self, row: &QueryResult) -> Result<Option<T>, DbErr> {
        row.try_get("", self.column)
    }

    fn part(&self, part: &str) -> String {
        format!("{}_{part}", self.column)
    }
}

/// RFC 3339, in UTC.
fn moment(at: DateTime<Utc>) -> Json {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true).into()
}

/// Whole numbers that a reader might round become text, as `AuditService` has them.
fn exact(json: Json) -> Json {
    match json {
        Json::Number(number) => {
            let whole = number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64());
            match whole.is_some_and(|whole| whole > MOST_EXACT) {
                true => Json::String(number.to_string()),
                false => Json::Number(number),
            }
        }
        Json::Array(values) => values.into_iter().map(exact).collect(),
        Json::Object(fields) => fields.into_iter().map(|(field, value)| (field, exact(value))).collect(),
        Json::Null | Json::Bool(_) | Json::String(_) => json,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_that_a_reader_might_round_are_text() {
        let most = 9_007_199_254_740_992_i64;
        let read = exact(json!({ "a": [most, most + 1, -most - 1, i64::MIN, u64::MAX], "b": 0.1, "c": "電\"\n" }));
        let text = ["9007199254740993", "-9007199254740993", "-9223372036854775808", "18446744073709551615"];
        assert_eq!(read, json!({ "a": [most, text[0], text[1], text[2], text[3]], "b": 0.1, "c": "電\"\n" }));
    }

    #[test]
    fn moments_are_in_utc_and_as_exact_as_they_are() {
        let at = |nanos| moment(DateTime::from_timestamp(1_767_225_600, nanos).expect("a moment"));
        assert_eq!(at(0), "2026-01-01T00:00:00Z");
        assert_eq!(at(123_456_000), "2026-01-01T00:00:00.123456Z");
    }
}

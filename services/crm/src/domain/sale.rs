//! Appliances, and in which parts their price is paid.

use chrono::{DateTime, Days, Months, NaiveDate, Utc};
use serde::Serialize;
use tenantry_ids::{ApplianceId, DebtId, DeviceId, PersonId, SaleId};

use super::content::{Content, Thing, writable};
use super::{Amount, Money};

/// The plugin that these are of.
pub(crate) const PLUGIN: &str = "appliances";
/// How many instalments a sale has at most.
pub(crate) const MOST_INSTALMENTS: u32 = 120;

writable! {
    /// Something that is sold.
    Appliance {
        name: String,
        category: Option<String>,
        price: Money,
    }
}

impl Content for Appliance {
    type Id = ApplianceId;
    const THING: Thing = Thing::Appliance;
}

/// An appliance that was sold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Sale {
    pub(crate) appliance_id: ApplianceId,
    pub(crate) person_id: PersonId,
    pub(crate) device_id: Option<DeviceId>,
    pub(crate) price: Money,
    pub(crate) down_payment: Amount,
    pub(crate) cancelled_at: Option<DateTime<Utc>>,
    /// In the order in which they are paid. Not read for lists.
    pub(crate) instalments: Vec<Instalment>,
}

impl Content for Sale {
    type Id = SaleId;
    const THING: Thing = Thing::Sale;
}

/// A part of a price: what was paid, what remains and what was written off are its amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Instalment {
    pub(crate) number: i32,
    pub(crate) debt_id: Option<DebtId>,
    pub(crate) amount: Amount,
    pub(crate) remaining: Amount,
    pub(crate) written_off: Amount,
    pub(crate) due_date: Option<NaiveDate>,
}

impl Instalment {
    /// `None` where it cannot be counted.
    pub(crate) fn paid(&self) -> Option<Amount> {
        self.amount.checked_sub(self.remaining)?.checked_sub(self.written_off)
    }
}

/// How far instalments are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interval {
    Day,
    Week,
    Month,
}

impl Interval {
    /// The date so many intervals later; months count from the first date, so that the 31st comes back after February.
    fn after(self, first: NaiveDate, times: u32) -> Option<NaiveDate> {
        match self {
            Self::Day => first.checked_add_days(Days::new(times.into())),
            Self::Week => first.checked_add_days(Days::new(u64::from(times) * 7)),
            Self::Month => first.checked_add_months(Months::new(times)),
        }
    }
}

/// How a price is to be paid.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Terms {
    pub(crate) price: Money,
    pub(crate) down_payment: Amount,
    pub(crate) instalments: u32,
    /// Of no use without instalments.
    pub(crate) first_due: NaiveDate,
    pub(crate) interval: Interval,
}

/// A part of a price before it is a debt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) number: i32,
    pub(crate) amount: Amount,
    pub(crate) due_date: NaiveDate,
}

/// A plan that is none: the field that is wrong, and what it must be.
pub(crate) type Misfit = (&'static str, &'static str);

impl Terms {
    /// The parts of the price, which add up to it. All instalments are alike, in whole minor units; the last one takes
    /// what is left.
    pub(crate) fn plan(&self, today: NaiveDate) -> Result<Vec<Part>, Misfit> {
        let price = self.price.amount;
        let rest = price.checked_sub(self.down_payment).filter(|rest| !rest.is_negative());
        let rest = rest.ok_or(("down_payment", "must be at most the price"))?;
        if (self.instalments == 0) != (rest == Amount::ZERO) {
            return Err(("instalments", "must be 0 exactly where the down payment is the price"));
        }
        let mut parts = Vec::new();
        if self.down_payment.is_positive() {
            parts.push(Part { number: 0, amount: self.down_payment, due_date: today });
        }
        let share = rest.share(self.instalments.max(1), self.price.currency.minor_unit_nanos());
        if self.instalments > 1 && !share.is_positive() {
            return Err(("instalments", "must be fewer: each would be less than the currency's minor unit"));
        }
        let mut left = rest;
        for number in 1..=self.instalments {
            let amount = if number == self.instalments { left } else { share };
            left = left.checked_sub(amount).unwrap_or_default();
            let due_date = self.interval.after(self.first_due, number - 1).filter(is_stored);
            let due_date = due_date.ok_or(("first_due_date", "must leave the last one in the year 9999 or before"))?;
            parts.push(Part { number: number.cast_signed(), amount, due_date });
        }
        Ok(parts)
    }
}

/// Whether every engine has such a date.
fn is_stored(date: &NaiveDate) -> bool {
    NaiveDate::from_ymd_opt(9999, 12, 31).is_none_or(|last| *date <= last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Currency;

    fn date(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    fn terms(currency: &str, (units, nanos): (i64, i32), down: i64, instalments: u32) -> Terms {
        Terms {
            price: Money {
                currency: Currency::stored(currency.to_owned()),
                amount: Amount::new(units, nanos).expect("an amount"),
            },
            down_payment: Amount::new(down, 0).expect("an amount"),
            instalments,
            first_due: date("2026-01-31"),
            interval: Interval::Month,
        }
    }

    fn plan(terms: &Terms) -> Result<Vec<Part>, &'static str> {
        terms.plan(date("2026-01-05")).map_err(|(field, _)| field)
    }

    #[test]
    fn instalments_are_alike_and_the_last_one_takes_what_is_left() {
        let amounts = |currency, price, down, count| -> Vec<_> {
            let parts = plan(&terms(currency, price, down, count)).expect("a plan");
            parts.iter().map(|part| (part.number, part.amount.units(), part.amount.nanos())).collect()
        };
        assert_eq!(
            amounts("KES", (110, 0), 10, 3),
            [(0, 10, 0), (1, 33, 330_000_000), (2, 33, 330_000_000), (3, 33, 340_000_000)]
        );
        assert_eq!(amounts("UGX", (100, 0), 0, 3), [(1, 33, 0), (2, 33, 0), (3, 34, 0)], "no cents there");
        assert_eq!(amounts("TND", (1, 0), 0, 3)[0], (1, 0, 333_000_000), "thousandths there");
        assert_eq!(amounts("KES", (5, 0), 5, 0), [(0, 5, 0)], "paid at once");
        assert_eq!(amounts("KES", (0, 1), 0, 1), [(1, 0, 1)], "less than a cent, in one");
    }

    #[test]
    fn dates_come_back_after_a_short_month() {
        let of = |interval| -> Vec<_> {
            let terms = Terms { interval, ..terms("KES", (4, 0), 1, 3) };
            plan(&terms).expect("a plan").iter().map(|part| part.due_date.to_string()).collect()
        };
        assert_eq!(of(Interval::Month), ["2026-01-05", "2026-01-31", "2026-02-28", "2026-03-31"]);
        assert_eq!(of(Interval::Week), ["2026-01-05", "2026-01-31", "2026-02-07", "2026-02-14"]);
        assert_eq!(of(Interval::Day)[3], "2026-02-02");
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        let none = |terms: Terms| plan(&terms).expect_err("no plan");
        assert_eq!(none(terms("KES", (5, 0), 6, 1)), "down_payment");
        assert_eq!(none(terms("KES", (5, 0), 5, 1)), "instalments");
        assert_eq!(none(terms("KES", (5, 0), 4, 0)), "instalments");
        assert_eq!(none(terms("KES", (0, 20_000_000), 0, 3)), "instalments", "two cents in three");
        assert!(plan(&terms("KES", (0, 30_000_000), 0, 3)).is_ok());
        assert_eq!(none(Terms { first_due: date("9999-12-01"), ..terms("KES", (5, 0), 0, 2) }), "first_due_date");
    }

    #[test]
    fn whatever_is_sold_its_parts_add_up_to_the_price() {
        // A seeded generator (xorshift64*), so that a failure repeats.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut roll = move || {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            state.wrapping_mul(0x2545_f491_4f6c_dd1d)
        };
        for round in 0..5_000 {
            let units = (roll() >> (roll() % 60 + 2)).cast_signed() + 1;
            let nanos = i32::try_from(roll() % 1_000_000_000).expect("fits");
            let down = units.checked_rem(i64::try_from(roll() % 1_000 + 1).expect("fits")).unwrap_or(0);
            let count = u32::try_from(roll() % 120 + 1).expect("fits");
            let currency = ["KES", "UGX", "TND"][usize::try_from(roll() % 3).expect("fits")];
            let terms = terms(currency, (units, nanos), down, count);
            let Ok(parts) = plan(&terms) else { continue };
            let sum = parts.iter().try_fold(Amount::ZERO, |sum, part| sum.checked_add(part.amount));
            assert_eq!(sum, Some(terms.price.amount), "round {round}: {terms:?}");
            assert!(parts.iter().all(|part| part.amount.is_positive()), "round {round}: {parts:?}");
            assert!(parts.iter().map(|part| part.due_date).skip(1).is_sorted(), "round {round}");
        }
    }
}

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::entity::prelude::*;
use serde::Serialize;
use tenantry_ids::{DebtId, DeviceId, PersonId, SaleId, TransactionId};

use super::content::{Content, Thing, writable};
use super::{Amount, Currency, Money};

/// What a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
#[serde(rename_all = "snake_case")]
pub(crate) enum TransactionKind {
    #[sea_orm(string_value = "payment")]
    Payment,
    #[sea_orm(string_value = "refund")]
    Refund,
    #[sea_orm(string_value = "adjustment")]
    Adjustment,
}

/// What a part of a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
#[serde(rename_all = "snake_case")]
pub(crate) enum AllocationKind {
    #[sea_orm(string_value = "energy")]
    Energy,
    #[sea_orm(string_value = "access_fee")]
    AccessFee,
    #[sea_orm(string_value = "debt")]
    Debt,
    #[sea_orm(string_value = "credit")]
    Credit,
}

/// What a transaction is to pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    Person(PersonId),
    Device(DeviceId),
    Debt(DebtId),
    Sale(SaleId),
}

/// A transaction that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Order {
    pub(crate) provider: String,
    pub(crate) external_id: String,
    pub(crate) amount: Money,
    pub(crate) kind: TransactionKind,
    pub(crate) sender: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) target: Target,
}

/// A transaction that was booked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Transaction {
    pub(crate) provider: String,
    pub(crate) external_id: String,
    pub(crate) amount: Money,
    pub(crate) kind: TransactionKind,
    pub(crate) sender: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) person_id: Option<PersonId>,
    pub(crate) device_id: Option<DeviceId>,
    pub(crate) refund_of: Option<TransactionId>,
    /// Tells a replay from another transaction under the same external id.
    #[serde(skip)]
    pub(crate) fingerprint: Option<String>,
    /// They add up to the amount.
    pub(crate) allocations: Vec<Allocation>,
}

/// A part of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Allocation {
    pub(crate) kind: AllocationKind,
    pub(crate) debt_id: Option<DebtId>,
    pub(crate) amount: Amount,
}

impl Content for Transaction {
    type Id = TransactionId;
    const THING: Thing = Thing::Transaction;
}

impl Allocation {
    /// All of it for one thing.
    pub(crate) fn whole(kind: AllocationKind, amount: Amount) -> Vec<Self> {
        vec![Self { kind, debt_id: None, amount }]
    }

    /// For debts, in their order, of which so much is left; what is more becomes credit.
    pub(crate) fn of_debts(amount: Amount, debts: &[(DebtId, Amount)]) -> Option<Vec<Self>> {
        let (mut parts, mut rest) = (Vec::new(), amount);
        for (debt, remaining) in debts {
            let paid = rest.min(*remaining);
            parts.push(Self { kind: AllocationKind::Debt, debt_id: Some(*debt), amount: paid });
            rest = rest.checked_sub(paid)?;
        }
        parts.push(Self { kind: AllocationKind::Credit, debt_id: None, amount: rest });
        parts.retain(|part| part.amount != Amount::ZERO);
        Some(parts)
    }

    /// What is left of debts is written off, and what was paid of them becomes credit.
    pub(crate) fn write_off(remaining: &[(DebtId, Amount)], credit: Amount) -> Vec<Self> {
        let off = remaining.iter().map(|(debt, left)| Self {
            kind: AllocationKind::Debt,
            debt_id: Some(*debt),
            amount: *left,
        });
        let credit = Self { kind: AllocationKind::Credit, debt_id: None, amount: credit };
        off.chain([credit]).filter(|part| part.amount != Amount::ZERO).collect()
    }

    /// `None` where it cannot be counted.
    pub(crate) fn sum(parts: &[Self]) -> Option<Amount> {
        parts.iter().try_fold(Amount::ZERO, |sum, part| sum.checked_add(part.amount))
    }
}

impl Transaction {
    /// The transaction that takes this one back; `None` where it cannot be counted.
    pub(crate) fn refund(&self, id: TransactionId, external_id: &str, message: Option<&str>) -> Option<Self> {
        let back = |part: &Allocation| Some(Allocation { amount: part.amount.checked_neg()?, ..*part });
        Some(Self {
            external_id: external_id.to_owned(),
            amount: Money { amount: self.amount.amount.checked_neg()?, ..self.amount.clone() },
            kind: TransactionKind::Refund,
            message: message.map(str::to_owned),
            refund_of: Some(id),
            fingerprint: None,
            allocations: self.allocations.iter().map(back).collect::<Option<_>>()?,
            ..self.clone()
        })
    }

    /// What it changes in its person's account: what is paid, what is left over, and what is owed.
    pub(crate) fn effect(&self) -> Option<Effect> {
        let sum = |kind| {
            let parts = self.allocations.iter().filter(|part| part.kind == kind);
            parts.map(|part| part.amount).try_fold(Amount::ZERO, Amount::checked_add)
        };
        let paid = match self.kind {
            TransactionKind::Payment | TransactionKind::Refund => self.amount.amount,
            TransactionKind::Adjustment => Amount::ZERO,
        };
        Some(Effect { paid, credit: sum(AllocationKind::Credit)?, owed: sum(AllocationKind::Debt)?.checked_neg()? })
    }
}

/// A change of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Effect {
    pub(crate) paid: Amount,
    pub(crate) credit: Amount,
    pub(crate) owed: Amount,
}

/// What a person has in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) person_id: PersonId,
    pub(crate) currency: Currency,
    pub(crate) paid: Amount,
    pub(crate) credit: Amount,
    pub(crate) owed: Amount,
}

impl Account {
    pub(crate) fn empty(person_id: PersonId, currency: Currency) -> Self {
        Self { person_id, currency, paid: Amount::ZERO, credit: Amount::ZERO, owed: Amount::ZERO }
    }

    /// `None` where it cannot be counted.
    pub(crate) fn with(self, effect: Effect) -> Option<Self> {
        Some(Self {
            paid: self.paid.checked_add(effect.paid)?,
            credit: self.credit.checked_add(effect.credit)?,
            owed: self.owed.checked_add(effect.owed)?,
            ..self
        })
    }

    /// Whether nothing is left over and nothing is owed.
    pub(crate) fn is_even(&self) -> bool {
        self.credit == Amount::ZERO && self.owed == Amount::ZERO
    }
}

writable! {
    /// What a person owes.
    Debt [
        person_id: PersonId,
        device_id: Option<DeviceId>,
        principal: Money,
        remaining: Amount,
        settled_at: Option<DateTime<Utc>>
    ] {
        reason: Option<String>,
        due_date: Option<NaiveDate>,
    }
}

impl Content for Debt {
    type Id = DebtId;
    const THING: Thing = Thing::Debt;
}

impl Debt {
    /// After a payment of so much, or with a negative one after a refund; `None` where it cannot be counted.
    pub(crate) fn paid(&self, amount: Amount, now: DateTime<Utc>) -> Option<Self> {
        let remaining = self.remaining.checked_sub(amount)?;
        let settled_at = (remaining == Amount::ZERO).then(|| self.settled_at.unwrap_or(now));
        Some(Self { remaining, settled_at, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// A seeded generator (xorshift64*), so that a failure repeats.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
        }

        /// Small and large ones alike.
        fn amount(&mut self) -> Amount {
            let units = (self.roll() >> (self.roll() % 63 + 1)).cast_signed();
            let nanos = i32::try_from(self.roll() % 1_000_000_000).expect("fits");
            Amount::new(units, nanos).expect("an amount").max(Amount::stored(0, 1))
        }
    }

    fn person() -> PersonId {
        PersonId(Uuid::from_u128(1))
    }

    fn kes(amount: Amount) -> Money {
        Money { currency: Currency::stored("KES".to_owned()), amount }
    }

    fn booked(kind: TransactionKind, amount: Amount, allocations: Vec<Allocation>) -> Transaction {
        Transaction {
            provider: "p".into(),
            external_id: "x".into(),
            amount: kes(amount),
            kind,
            sender: None,
            message: None,
            person_id: Some(person()),
            device_id: None,
            refund_of: None,
            fingerprint: None,
            allocations,
        }
    }

    fn total(amounts: impl IntoIterator<Item = Amount>) -> i128 {
        amounts.into_iter().map(|a| i128::from(a.units()) * 1_000_000_000 + i128::from(a.nanos())).sum()
    }

    /// Random payments, refunds and debts: after each, every sum that the books claim is what its parts add up to.
    #[test]
    fn balances_add_up_whatever_is_booked() {
        for seed in 1..=200_u64 {
            let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut account = Account::empty(person(), Currency::stored("KES".to_owned()));
            let (mut debts, mut booked_all): (Vec<Debt>, Vec<Transaction>) = (Vec::new(), Vec::new());
            let mut written_off = std::collections::HashSet::new();
            for _ in 0..60 {
                let amount = dice.amount();
                let transaction = match dice.roll() % 7 {
                    0 => {
                        let owed = Effect { owed: amount, ..Effect::default() };
                        // What cannot be counted is refused, and changes nothing.
                        if let Some(after) = account.clone().with(owed) {
                            account = after;
                            debts.push(Debt {
                                person_id: person(),
                                device_id: None,
                                principal: kes(amount),
                                remaining: amount,
                                settled_at: None,
                                reason: None,
                                due_date: None,
                            });
                        }
                        continue;
                    }
                    1 if !booked_all.is_empty() => {
                        let at = usize::try_from(dice.roll()).unwrap_or(0) % booked_all.len();
                        let id = TransactionId(Uuid::from_u128(at as u128));
                        let open = booked_all[at].kind == TransactionKind::Payment
                            && booked_all.iter().all(|other| other.refund_of != Some(id))
                            && booked_all[at]
                                .allocations
                                .iter()
                                .all(|part| part.debt_id.is_none_or(|debt| !written_off.contains(&debt)));
                        if !open {
                            continue;
                        }
                        booked_all[at].refund(id, "back", None).expect("an amount")
                    }
                    2 if !debts.is_empty() => {
                        let at = usize::try_from(dice.roll()).unwrap_or(0) % debts.len();
                        let debt = DebtId(Uuid::from_u128(at as u128));
                        let parts = Allocation::of_debts(amount, &[(debt, debts[at].remaining)]).expect("an amount");
                        booked(TransactionKind::Payment, amount, parts)
                    }
                    // A sale: its instalments are all debts here.
                    4 => {
                        let open: Vec<_> = (0_u128..)
                            .zip(&debts)
                            .map(|(at, debt)| (DebtId(Uuid::from_u128(at)), debt.remaining))
                            .collect();
                        booked(
                            TransactionKind::Payment,
                            amount,
                            Allocation::of_debts(amount, &open).expect("an amount"),
                        )
                    }
                    5 if !debts.is_empty() => {
                        let at = usize::try_from(dice.roll()).unwrap_or(0) % debts.len();
                        let debt = DebtId(Uuid::from_u128(at as u128));
                        let paid = debts[at].principal.amount.checked_sub(debts[at].remaining).expect("an amount");
                        let off = Allocation::write_off(&[(debt, debts[at].remaining)], paid);
                        let Some(amount) = Allocation::sum(&off).filter(|amount| *amount != Amount::ZERO) else {
                            continue;
                        };
                        written_off.insert(debt);
                        booked(TransactionKind::Adjustment, amount, off)
                    }
                    3 => {
                        let amount = amount.checked_neg().expect("an amount");
                        booked(TransactionKind::Adjustment, amount, Allocation::whole(AllocationKind::Credit, amount))
                    }
                    _ => booked(TransactionKind::Payment, amount, Allocation::whole(AllocationKind::Energy, amount)),
                };
                let Some(after) = transaction.effect().and_then(|effect| account.clone().with(effect)) else {
                    continue;
                };
                account = after;
                for part in &transaction.allocations {
                    if let Some(debt) = part.debt_id {
                        let debt = &mut debts[usize::try_from(debt.0.as_u128()).expect("small")];
                        *debt = debt.paid(part.amount, DateTime::UNIX_EPOCH).expect("a debt");
                    }
                }
                booked_all.push(transaction);

                let parts = |kind| {
                    let all = booked_all.iter().flat_map(|transaction| &transaction.allocations);
                    total(all.filter(|part| part.kind == kind).map(|part| part.amount))
                };
                for transaction in &booked_all {
                    let sum = total(transaction.allocations.iter().map(|part| part.amount));
                    assert_eq!(sum, total([transaction.amount.amount]), "seed {seed}");
                }
                let paid = booked_all.iter().filter(|one| one.kind != TransactionKind::Adjustment);
                assert_eq!(total([account.paid]), total(paid.map(|one| one.amount.amount)), "seed {seed}");
                assert_eq!(total([account.credit]), parts(AllocationKind::Credit), "seed {seed}");
                assert_eq!(total([account.owed]), total(debts.iter().map(|debt| debt.remaining)), "seed {seed}");
                let principal = total(debts.iter().map(|debt| debt.principal.amount));
                assert_eq!(principal - total([account.owed]), parts(AllocationKind::Debt), "seed {seed}");
                for debt in &debts {
                    assert!(!debt.remaining.is_negative() && debt.remaining <= debt.principal.amount, "seed {seed}");
                    assert_eq!(debt.settled_at.is_some(), debt.remaining == Amount::ZERO, "seed {seed}");
                }
            }
        }
    }
}

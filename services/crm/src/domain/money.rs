use serde::Serialize;

const NANOS: i128 = 1_000_000_000;

/// How much of a currency: whole units and billionths of one, of the same sign (`google.type.Money`). Sums are exact or
/// refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize)]
pub(crate) struct Amount {
    units: i64,
    nanos: i32,
}

impl Amount {
    pub(crate) const ZERO: Self = Self { units: 0, nanos: 0 };

    /// `None` where the two do not have one sign, or the billionths are a whole unit.
    pub(crate) fn new(units: i64, nanos: i32) -> Option<Self> {
        let one_sign = units == 0 || nanos == 0 || (units < 0) == (nanos < 0);
        (one_sign && i128::from(nanos).abs() < NANOS).then_some(Self { units, nanos })
    }

    /// As a database has it; what is there was written by us.
    pub(crate) fn stored(units: i64, nanos: i32) -> Self {
        Self { units, nanos }
    }

    pub(crate) fn units(self) -> i64 {
        self.units
    }

    pub(crate) fn nanos(self) -> i32 {
        self.nanos
    }

    pub(crate) fn is_positive(self) -> bool {
        self > Self::ZERO
    }

    pub(crate) fn is_negative(self) -> bool {
        self < Self::ZERO
    }

    pub(crate) fn checked_add(self, other: Self) -> Option<Self> {
        Self::of_total(self.total() + other.total())
    }

    pub(crate) fn checked_sub(self, other: Self) -> Option<Self> {
        Self::of_total(self.total() - other.total())
    }

    pub(crate) fn checked_neg(self) -> Option<Self> {
        Self::of_total(-self.total())
    }

    /// One of so many equal parts, rounded down to a multiple of `step` nanos. The amount is not negative.
    pub(crate) fn share(self, parts: u32, step: i128) -> Self {
        let share = self.total() / i128::from(parts.max(1));
        // Less than the amount, which fits.
        Self::of_total(share - share % step.max(1)).unwrap_or_default()
    }

    fn total(self) -> i128 {
        i128::from(self.units) * NANOS + i128::from(self.nanos)
    }

    fn of_total(total: i128) -> Option<Self> {
        // Both round towards zero, so both have the sign of the total.
        Some(Self { units: i64::try_from(total / NANOS).ok()?, nanos: i32::try_from(total % NANOS).ok()? })
    }
}

/// A decimal without needless digits: `12.5`, `-0.000000001`.
impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.is_negative() { "-" } else { "" };
        write!(f, "{sign}{}", self.units.unsigned_abs())?;
        match self.nanos.unsigned_abs() {
            0 => Ok(()),
            nanos => write!(f, ".{}", format!("{nanos:09}").trim_end_matches('0')),
        }
    }
}

/// The three letters of ISO 4217.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub(crate) struct Currency(String);

impl Currency {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As a database has it.
    pub(crate) fn stored(code: String) -> Self {
        Self(code)
    }

    /// The smallest amount that is paid in it, in billionths of a unit, as ISO 4217 lists it; hundredths where it does
    /// not say otherwise.
    pub(crate) fn minor_unit_nanos(&self) -> i128 {
        match self.0.as_str() {
            "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
            | "VUV" | "XAF" | "XOF" | "XPF" => NANOS,
            "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => NANOS / 1_000,
            "CLF" | "UYW" => NANOS / 10_000,
            _ => NANOS / 100,
        }
    }
}

impl std::str::FromStr for Currency {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.len() == 3 && text.bytes().all(|letter| letter.is_ascii_uppercase());
        if fits { Ok(Self(text.to_owned())) } else { Err("must be three capital letters, such as KES") }
    }
}

/// An amount of one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Money {
    pub(crate) currency: Currency,
    #[serde(flatten)]
    pub(crate) amount: Amount,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(units: i64, nanos: i32) -> Amount {
        Amount::new(units, nanos).expect("an amount")
    }

    #[test]
    fn an_amount_has_one_sign() {
        for (units, nanos) in [(0, 0), (0, -999_999_999), (1, 999_999_999), (-1, -1), (i64::MIN, 0), (i64::MAX, 1)] {
            assert!(Amount::new(units, nanos).is_some(), "{units} {nanos}");
        }
        for (units, nanos) in [(1, -1), (-1, 1), (0, 1_000_000_000), (0, -1_000_000_000), (0, i32::MIN)] {
            assert!(Amount::new(units, nanos).is_none(), "{units} {nanos}");
        }
    }

    #[test]
    fn sums_are_exact_or_refused() {
        let half = amount(0, 500_000_000);
        assert_eq!(half.checked_add(half), Some(amount(1, 0)));
        assert_eq!(amount(1, 0).checked_sub(amount(1, 250_000_000)), Some(amount(0, -250_000_000)));
        assert_eq!(amount(-1, -750_000_000).checked_add(amount(2, 0)), Some(amount(0, 250_000_000)));
        let most = amount(i64::MAX, 999_999_999);
        assert_eq!(most.checked_add(amount(0, 1)), None);
        assert_eq!(most.checked_sub(amount(0, 1)), Some(amount(i64::MAX, 999_999_998)));
        assert_eq!(amount(i64::MIN, 0).checked_neg(), None);
        assert_eq!(amount(i64::MIN, -999_999_999).checked_sub(amount(0, 1)), None);
    }

    #[test]
    fn amounts_compare_as_numbers() {
        let ordered = [(-2, 0), (-1, -750_000_000), (-1, 0), (0, -1), (0, 0), (0, 1), (1, 0), (1, 1)];
        assert!(ordered.map(|(units, nanos)| amount(units, nanos)).is_sorted());
    }

    #[test]
    fn an_amount_is_written_as_a_decimal() {
        let written = |units, nanos| amount(units, nanos).to_string();
        assert_eq!([written(0, 0), written(12, 500_000_000), written(-12, -50_000_000)], ["0", "12.5", "-12.05"]);
        assert_eq!([written(0, -1), written(i64::MAX, 999_999_999)], ["-0.000000001", "9223372036854775807.999999999"]);
        assert_eq!(written(i64::MIN, -1), "-9223372036854775808.000000001");
    }

    #[test]
    fn currencies_have_three_capitals() {
        assert!("KES".parse::<Currency>().is_ok());
        assert!(["", "KE", "kes", "KESH", "K3S", "ÄÖ"].iter().all(|text| text.parse::<Currency>().is_err()));
    }
}

//! Money: whole minor units of a currency of ISO 4217. Never a float, never a silent overflow.

use std::{fmt, str::FromStr};

use berth::google::r#type as google;
use iso_currency::Currency as Iso;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A currency of ISO 4217 that has minor units (or none), for example `EUR` or `JPY`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Currency(Iso);

impl Currency {
    /// Its three-letter code.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// How many minor units make a major one: 100 for `EUR`, 1 for `JPY`.
    pub fn minor_per_major(self) -> i64 {
        10_i64.pow(self.0.exponent().unwrap_or(0).into())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(code: &str) -> Result<Self, MoneyError> {
        match Iso::from_code(code) {
            Some(iso) if iso.exponent().is_some() => Ok(Self(iso)),
            _ => Err(MoneyError::UnknownCurrency),
        }
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// An amount of money in one currency; may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// The currency.
    pub currency: Currency,
    /// How much, in minor units: 1250 is 12.50 EUR or 1250 JPY.
    pub minor: i64,
}

/// Why something is not an amount of money, or a calculation has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The code is not in ISO 4217.
    #[error("must have a currency code of ISO 4217, such as EUR")]
    UnknownCurrency,
    /// The currency has no units that small.
    #[error("must be a whole number of the currency's minor units")]
    NotExact,
    /// `units` and `nanos` have different signs, or `nanos` is out of range.
    #[error("must have nanos between -999,999,999 and 999,999,999, of the same sign as units")]
    MixedSigns,
    /// The amounts have different currencies.
    #[error("the currencies differ")]
    CurrencyMismatch,
    /// The result does not fit into 64 bits.
    #[error("is out of range")]
    OutOfRange,
}

impl Money {
    /// An amount in minor units.
    pub const fn new(currency: Currency, minor: i64) -> Self {
        Self { currency, minor }
    }

    /// Zero.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(currency, 0)
    }

    /// Whether it is zero.
    pub const fn is_zero(self) -> bool {
        self.minor == 0
    }

    /// Whether it is more than zero.
    pub const fn is_positive(self) -> bool {
        self.minor > 0
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.with(other, i64::checked_add)
    }

    /// The difference.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.with(other, i64::checked_sub)
    }

    /// The product with a whole number.
    pub fn times(self, factor: i64) -> Result<Self, MoneyError> {
        let minor = self
            .minor
            .checked_mul(factor)
            .ok_or(MoneyError::OutOfRange)?;
        Ok(Self { minor, ..self })
    }

    /// A part of it in percent, rounded half away from zero to a whole minor unit.
    pub fn percent(self, percent: u32) -> Result<Self, MoneyError> {
        let product = i128::from(self.minor) * i128::from(percent);
        let rounded = (product + 50 * product.signum()) / 100;
        let minor = i64::try_from(rounded).map_err(|_| MoneyError::OutOfRange)?;
        Ok(Self { minor, ..self })
    }

    fn with(self, other: Self, calculate: fn(i64, i64) -> Option<i64>) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch);
        }
        let minor = calculate(self.minor, other.minor).ok_or(MoneyError::OutOfRange)?;
        Ok(Self { minor, ..self })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_major = self.currency.minor_per_major();
        let sign = if self.minor < 0 { "-" } else { "" };
        let (major, minor) = (
            (self.minor / per_major).unsigned_abs(),
            (self.minor % per_major).unsigned_abs(),
        );
        let digits = usize::from(self.currency.0.exponent().unwrap_or(0));
        if digits == 0 {
            write!(f, "{sign}{major} {}", self.currency.code())
        } else {
            write!(f, "{sign}{major}.{minor:0digits$} {}", self.currency.code())
        }
    }
}

impl TryFrom<&google::Money> for Money {
    type Error = MoneyError;

    fn try_from(money: &google::Money) -> Result<Self, MoneyError> {
        let currency: Currency = money.currency_code.parse()?;
        let (units, nanos) = (money.units, i64::from(money.nanos));
        if nanos.abs() > 999_999_999 || (units > 0 && nanos < 0) || (units < 0 && nanos > 0) {
            return Err(MoneyError::MixedSigns);
        }
        let nanos_per_minor = 1_000_000_000 / currency.minor_per_major();
        if nanos % nanos_per_minor != 0 {
            return Err(MoneyError::NotExact);
        }
        units
            .checked_mul(currency.minor_per_major())
            .and_then(|minor| minor.checked_add(nanos / nanos_per_minor))
            .map(|minor| Self { currency, minor })
            .ok_or(MoneyError::OutOfRange)
    }
}

impl From<Money> for google::Money {
    fn from(money: Money) -> Self {
        let per_major = money.currency.minor_per_major();
        let nanos = money.minor % per_major * (1_000_000_000 / per_major);
        Self {
            currency_code: money.currency.code().into(),
            units: money.minor / per_major,
            nanos: i32::try_from(nanos).unwrap_or(0),
        }
    }
}

//! What a cancellation gives back.

use chassis::{Money, Timestamp, base::time::SignedDuration};
use serde::{Deserialize, Serialize};

/// What is refunded with a given notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tier {
    /// Applies when at least so many hours are left before the start.
    pub(crate) hours_before: u32,
    /// Part of the price, 0 to 100.
    pub(crate) percent: u32,
}

/// What a cancellation would mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    /// What goes back.
    pub(crate) refund: Money,
    /// What is kept.
    pub(crate) fee: Money,
    /// Until when this holds, that moment included; for ever if the reservation does not change otherwise.
    pub(crate) valid_until: Option<Timestamp>,
}

impl Quote {
    /// Nothing was paid, so nothing goes back and nothing is kept.
    pub(crate) fn unpaid(price: Money) -> Self {
        let nothing = Money::zero(price.currency);
        Self {
            refund: nothing,
            fee: nothing,
            valid_until: None,
        }
    }

    /// All of it goes back, until the start.
    pub(crate) fn everything(price: Money, start: Timestamp) -> Self {
        Self {
            refund: price,
            fee: Money::zero(price.currency),
            valid_until: Some(start),
        }
    }

    /// A part goes back by the notice given: of the tiers that apply, what the one with the longest notice says. With no
    /// tiers at all everything goes back; where none applies nothing does.
    pub(crate) fn by_notice(price: Money, tiers: &[Tier], start: Timestamp, at: Timestamp) -> Self {
        if tiers.is_empty() {
            return Self::everything(price, start);
        }
        let notice = start.duration_since(at);
        let applying = tiers.iter().filter(|tier| tier.notice() <= notice);
        let tier = applying.max_by_key(|tier| tier.hours_before);
        let percent = tier.map_or(0, |tier| tier.percent.min(100));
        let until = tier.and_then(|tier| start.checked_sub(tier.notice()).ok());
        // At most 100 percent of a price is no more than the price, so neither can fail.
        let refund = price.percent(percent).unwrap_or(price);
        Self {
            refund,
            fee: price.minus(refund).unwrap_or(Money::zero(price.currency)),
            valid_until: Some(until.unwrap_or(start)),
        }
    }
}

impl Tier {
    fn notice(self) -> SignedDuration {
        SignedDuration::from_hours(self.hours_before.into())
    }
}

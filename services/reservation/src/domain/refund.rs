//! The refund of a cancellation.

use chassis::{Money, Timestamp, base::time::SignedDuration};
use serde::{Deserialize, Serialize};

/// The refund for a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tier {
    /// Applies if at least this many hours are left before the start.
    pub(crate) hours_before: u32,
    /// Part of the price, 0 to 100.
    pub(crate) percent: u32,
}

/// The refund and the fee of a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CancellationQuote {
    /// The refund.
    pub(crate) refund: Money,
    /// The amount that is kept.
    pub(crate) fee: Money,
    /// The last instant at which the quote is valid; none if it does not depend on time.
    pub(crate) valid_until: Option<Timestamp>,
}

impl CancellationQuote {
    /// Nothing was paid: no refund and no fee.
    pub(crate) fn unpaid(price: Money) -> Self {
        let nothing = Money::zero(price.currency);
        Self {
            refund: nothing,
            fee: nothing,
            valid_until: None,
        }
    }

    /// A full refund, until the start.
    pub(crate) fn everything(price: Money, start: Timestamp) -> Self {
        Self {
            refund: price,
            fee: Money::zero(price.currency),
            valid_until: Some(start),
        }
    }

    /// The refund by notice: of the tiers that apply, the one with the longest notice counts. Without any tiers the refund
    /// is full; if there are tiers and none applies it is zero.
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

//! The availability of an offer. Reading it holds nothing.

use chassis::{Kind, Money, Refused, Timestamp};

use super::{claims::Free, period::Period, refusal::Refusal, terms::Terms};

/// The availability of an offer in a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Availability {
    /// The number of units that a request would obtain.
    pub(crate) free: u32,
    /// The price of the requested quantity.
    pub(crate) price: Money,
    /// Why a request for that quantity would be refused.
    pub(crate) refusal: Option<Refusal>,
}

impl Availability {
    /// The outcome of a request for one person. Refused only if the period is invalid for the offer.
    pub(crate) fn of(
        terms: &Terms,
        period: &Period,
        quantity: u32,
        free: &Free,
        at: Timestamp,
    ) -> Result<Self, Refusal> {
        let refusal = terms.quote(period, quantity, 1, free, at).err();
        let free = match &refusal {
            None | Some(Refusal::SoldOut) => free.count(),
            Some(refusal) if refusal.kind() == Kind::Invalid => return Err(refusal.clone()),
            Some(_) => 0,
        };
        Ok(Self {
            free,
            price: terms.price_of(period, quantity)?,
            refusal,
        })
    }
}

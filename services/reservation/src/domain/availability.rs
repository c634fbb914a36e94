//! What could be had of an offer: nothing is held by asking.

use chassis::{Kind, Money, Refused, Timestamp};

use super::{claims::Free, period::Period, refusal::Refusal, terms::Terms};

/// What could be had of an offer in a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Availability {
    /// How many units could be had; a request for so many would not be refused.
    pub(crate) free: u32,
    /// What the quantity asked for would cost.
    pub(crate) price: Money,
    /// Why a request for that quantity would be refused.
    pub(crate) refusal: Option<Refusal>,
}

impl Availability {
    /// What a request for one person would be told. Refused only if it makes no sense.
    pub(crate) fn of(
        terms: &Terms,
        period: &Period,
        quantity: u32,
        free: &Free,
        at: Timestamp,
    ) -> Result<Self, Refusal> {
        let refusal = terms.deal(period, quantity, 1, free, at).err();
        let free = match &refusal {
            None | Some(Refusal::SoldOut) => free.count(),
            Some(refusal) if refusal.kind() == Kind::Invalid => return Err(refusal.clone()),
            Some(_) => 0,
        };
        Ok(Self {
            free,
            price: terms.quote(period, quantity)?,
            refusal,
        })
    }
}

//! The claims of a reservation: units of an offer for slots of time, and one slot of its customer.

use std::collections::BTreeSet;

use chassis::{ClaimRange, MemberId, Now, OfferId, Units};

use super::period::Period;

/// The units of an offer that are not claimed at any time of a period, as far as they were looked for.
#[derive(Clone, Debug)]
pub(crate) struct Free {
    capacity: u32,
    taken: BTreeSet<u32>,
}

impl Free {
    /// The units of a capacity that are free, given the keys claimed in the period.
    pub(crate) fn of<'a>(capacity: u32, keys: impl Iterator<Item = &'a str>) -> Self {
        let taken = keys.filter_map(unit_of).filter(|unit| *unit <= capacity);
        Self {
            capacity,
            taken: taken.collect(),
        }
    }

    /// How many units are free.
    pub(crate) fn count(&self) -> u32 {
        let taken = u32::try_from(self.taken.len()).unwrap_or(u32::MAX);
        self.capacity.saturating_sub(taken)
    }

    /// The lowest free unit numbers, if there are enough.
    pub(crate) fn lowest(&self, quantity: u32) -> Option<Vec<u32>> {
        let wanted = usize::try_from(quantity).ok()?;
        let free = (1..=self.capacity).filter(|unit| !self.taken.contains(unit));
        let units: Vec<u32> = free.take(wanted).collect();
        (units.len() == wanted).then_some(units)
    }
}

/// The claims on an offer in a period, until `wanted` of its units are found free.
pub(crate) fn unit_claim_range(
    offer: OfferId,
    period: &Period,
    capacity: u32,
    wanted: u32,
) -> ClaimRange {
    let (from, to) = period.bounds();
    let count = capacity;
    ClaimRange::range(offer_scope(offer), from, to).of_units(Units { count, wanted })
}

/// The range of all slots of a customer.
pub(crate) fn customer_slot_claim_range(customer: MemberId) -> ClaimRange {
    ClaimRange::all(customer_scope(customer))
}

/// The lowest free slot of a customer. A customer has one slot for each open reservation that they may have.
pub(crate) fn free_customer_slot(customer: MemberId, slots: u32, now: &Now) -> Option<u32> {
    let scope = customer_scope(customer);
    (1..=slots).find(|slot| !now.is_held(&scope, &slot.to_string()))
}

/// The claim scope of the units of an offer.
pub(crate) fn offer_scope(offer: OfferId) -> String {
    format!("offer/{offer}")
}

/// The claim scope of the slots of a customer.
pub(crate) fn customer_scope(customer: MemberId) -> String {
    format!("customer/{customer}")
}

fn unit_of(key: &str) -> Option<u32> {
    key.split('/').next()?.parse().ok()
}

//! What a reservation claims: units of an offer for slots of time, and one of its customer's places.

use std::collections::BTreeSet;

use chassis::{ClaimRange, MemberId, Now, OfferId};

use super::period::Period;

/// The units of an offer that nobody holds at any time of a period.
#[derive(Clone, Debug)]
pub(crate) struct Free {
    capacity: u32,
    taken: BTreeSet<u32>,
}

impl Free {
    /// What a capacity leaves of the claims held in the period.
    pub(crate) fn of<'a>(capacity: u32, keys: impl Iterator<Item = &'a str>) -> Self {
        let taken = keys.filter_map(unit_of).filter(|unit| *unit <= capacity);
        Self {
            capacity,
            taken: taken.collect(),
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        let taken = u32::try_from(self.taken.len()).unwrap_or(u32::MAX);
        self.capacity.saturating_sub(taken)
    }

    /// The lowest ones, if there are so many.
    pub(crate) fn lowest(&self, quantity: u32) -> Option<Vec<u32>> {
        let wanted = usize::try_from(quantity).ok()?;
        let free = (1..=self.capacity).filter(|unit| !self.taken.contains(unit));
        let units: Vec<u32> = free.take(wanted).collect();
        (units.len() == wanted).then_some(units)
    }
}

/// The claims on an offer in a period, whoever holds them.
pub(crate) fn look_at_units(offer: OfferId, period: &Period) -> ClaimRange {
    let (from, to) = period.bounds();
    ClaimRange::range(offer_scope(offer), from, to)
}

/// The places of a customer, free or not.
pub(crate) fn look_at_places(customer: MemberId) -> ClaimRange {
    ClaimRange::all(customer_scope(customer))
}

/// The lowest of a customer's places that is free: there is one for each open reservation they may have.
pub(crate) fn free_place(customer: MemberId, places: u32, now: &Now) -> Option<u32> {
    let scope = customer_scope(customer);
    (1..=places).find(|place| !now.is_held(&scope, &place.to_string()))
}

/// Under what the units of an offer are claimed.
pub(crate) fn offer_scope(offer: OfferId) -> String {
    format!("offer/{offer}")
}

/// Under what the places of a customer are claimed.
pub(crate) fn customer_scope(customer: MemberId) -> String {
    format!("customer/{customer}")
}

/// A unit for a slot.
pub(crate) fn unit_key(slot: &str, unit: u32) -> String {
    format!("{slot}/{unit:04}")
}

fn unit_of(key: &str) -> Option<u32> {
    key.rsplit('/').next()?.parse().ok()
}

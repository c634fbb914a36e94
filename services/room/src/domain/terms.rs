//! The terms of a room, which the host sets, and their changes.

use chassis::{
    Money,
    base::time::{Date, Time},
};
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;

/// Default check-in time.
pub(crate) const ARRIVAL: Time = Time::constant(15, 0, 0, 0);
/// Default check-out time.
pub(crate) const DEPARTURE: Time = Time::constant(11, 0, 0, 0);

/// The terms of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) sold: Sold,
    pub(crate) max_persons: i32,
    /// Number of identical rooms sold under this id.
    pub(crate) units: i32,
    /// Price of one night or hour of one of them.
    pub(crate) price: Money,
    pub(crate) approval: Approval,
    pub(crate) tiers: Vec<Tier>,
    pub(crate) blackouts: Vec<Blackout>,
    /// IANA time zone.
    pub(crate) zone: String,
}

/// How a room is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sold {
    /// By the night, as a stay.
    ByNight { check_in: Time, check_out: Time },
    /// By the hour, as a meeting room.
    ByHour,
}

/// Who must approve a reservation before it is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Approval {
    Nobody,
    Host,
}

/// The refund for a cancellation at least some hours ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tier {
    pub(crate) hours_before: i32,
    pub(crate) percent: i32,
}

/// Dates on which a room is not available, without the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Blackout {
    pub(crate) start: Date,
    pub(crate) end: Date,
}

/// A change of one term. Terms without a variant cannot change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Change {
    Title(String),
    Description(String),
    MaxPersons(i32),
    Price(Money),
    Approval(Approval),
    Tiers(Vec<Tier>),
    Blackouts(Vec<Blackout>),
    /// None sets the default.
    CheckIn(Option<Time>),
    /// None sets the default.
    CheckOut(Option<Time>),
}

impl Sold {
    /// Sold by the night with these times. None if check-out is later than check-in: the guest of the night before
    /// would still be there.
    pub(crate) fn by_night(check_in: Time, check_out: Time) -> Option<Self> {
        (check_out <= check_in).then_some(Self::ByNight {
            check_in,
            check_out,
        })
    }
}

impl Terms {
    /// The terms after some changes, if they are consistent.
    pub(super) fn with(&self, changes: &[Change]) -> Result<Self, Refusal> {
        let mut terms = self.clone();
        for change in changes.iter().cloned() {
            match change {
                Change::Title(title) => terms.title = title,
                Change::Description(description) => terms.description = description,
                Change::MaxPersons(max_persons) => terms.max_persons = max_persons,
                Change::Price(price) => terms.price = price,
                Change::Approval(approval) => terms.approval = approval,
                Change::Tiers(tiers) => terms.tiers = tiers,
                Change::Blackouts(blackouts) => terms.blackouts = blackouts,
                Change::CheckIn(time) => match &mut terms.sold {
                    Sold::ByNight { check_in, .. } => *check_in = time.unwrap_or(ARRIVAL),
                    Sold::ByHour => refuse_time(time)?,
                },
                Change::CheckOut(time) => match &mut terms.sold {
                    Sold::ByNight { check_out, .. } => *check_out = time.unwrap_or(DEPARTURE),
                    Sold::ByHour => refuse_time(time)?,
                },
            }
        }
        match terms.sold {
            Sold::ByNight {
                check_in,
                check_out,
            } if check_out > check_in => Err(Refusal::CheckOutAfterCheckIn),
            _ => Ok(terms),
        }
    }
}

/// A room sold by the hour has no check-in or check-out time.
fn refuse_time(time: Option<Time>) -> Result<(), Refusal> {
    time.map_or(Ok(()), |_| Err(Refusal::NotSoldByNight))
}

//! What a host says about a room, and how it may change.

use chassis::{
    Money,
    base::time::{Date, Time},
};
use serde::{Deserialize, Serialize};

use super::room::Refusal;

/// When a guest may arrive, unless the host says otherwise.
pub(crate) const ARRIVAL: Time = Time::constant(15, 0, 0, 0);
/// When a guest must have left, unless the host says otherwise.
pub(crate) const DEPARTURE: Time = Time::constant(11, 0, 0, 0);

/// The terms on which a room is let.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) sold: Sold,
    pub(crate) max_persons: i32,
    /// How many identical rooms there are.
    pub(crate) units: i32,
    /// Of one night or hour of one of them.
    pub(crate) price: Money,
    pub(crate) approval: Approval,
    pub(crate) tiers: Vec<Tier>,
    pub(crate) blackouts: Vec<Blackout>,
    /// Its time zone, as the IANA spells it.
    pub(crate) zone: String,
}

/// By what a room is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sold {
    /// A stay.
    ByNight { check_in: Time, check_out: Time },
    /// A meeting room.
    ByHour,
}

/// Who must agree before a reservation is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Approval {
    Nobody,
    Host,
}

/// What is refunded with a given notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tier {
    pub(crate) hours_before: i32,
    pub(crate) percent: i32,
}

/// Dates on which a room is not let; the end is not one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Blackout {
    pub(crate) start: Date,
    pub(crate) end: Date,
}

/// A change of one of the terms. What is not here never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Change {
    Title(String),
    Description(String),
    MaxPersons(i32),
    Price(Money),
    Approval(Approval),
    Tiers(Vec<Tier>),
    Blackouts(Vec<Blackout>),
    /// None is the default.
    CheckIn(Option<Time>),
    /// None is the default.
    CheckOut(Option<Time>),
}

impl Sold {
    /// Stays that begin and end at these times. Nobody arrives before the guest of the night before has left.
    pub(crate) fn by_night(check_in: Time, check_out: Time) -> Option<Self> {
        (check_out <= check_in).then_some(Self::ByNight {
            check_in,
            check_out,
        })
    }
}

impl Terms {
    /// The terms with some changes, if they make sense together.
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
                    Sold::ByHour => none(time)?,
                },
                Change::CheckOut(time) => match &mut terms.sold {
                    Sold::ByNight { check_out, .. } => *check_out = time.unwrap_or(DEPARTURE),
                    Sold::ByHour => none(time)?,
                },
            }
        }
        match terms.sold {
            Sold::ByNight {
                check_in,
                check_out,
            } if check_out > check_in => Err(Refusal::StaysOverlap),
            _ => Ok(terms),
        }
    }
}

fn none(time: Option<Time>) -> Result<(), Refusal> {
    time.map_or(Ok(()), |_| Err(Refusal::NoStay))
}

//! A small aggregate to try the chassis with: a seat counter that holds one of `capacity` seats.

use chassis::{
    Aggregate, ClaimRange, Claims, Fact, Kind, Now, Publish, Recorded, Refused, Restore, Timestamp,
    Units, Versioned, base::time::SignedDuration,
};
use serde::{Deserialize, Serialize};

chassis::id! {
    /// A seat holder.
    SeatId,
}

/// Holds a seat, or has given it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Seat {
    Held {
        hall: String,
        seat: u32,
        until: Timestamp,
    },
    Left,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Take { hall: String, capacity: u32 },
    Leave,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Taken {
        hall: String,
        seat: u32,
        until: Timestamp,
    },
    Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the hall is full")]
    Full,
    #[error("no such seat")]
    Unknown,
}

impl Refused for Refusal {
    fn kind(&self) -> Kind {
        Kind::Precondition
    }
    fn reason(&self) -> &'static str {
        "FULL"
    }
}

impl Aggregate for Seat {
    const KIND: &'static str = "seat";
    type Id = SeatId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(this: Option<&Self>, command: &Command, now: &Now) -> Result<Vec<Event>, Refusal> {
        match (this, command) {
            (None, Command::Take { hall, capacity }) => {
                let scope = format!("hall/{hall}");
                let free = (1..=*capacity).find(|seat| !now.is_held(&scope, &key(*seat)));
                let seat = free.ok_or(Refusal::Full)?;
                let until = now.at.checked_add(SignedDuration::from_mins(15)).unwrap();
                Ok(vec![Event::Taken {
                    hall: hall.clone(),
                    seat,
                    until,
                }])
            }
            (Some(_), Command::Take { .. }) | (Some(Self::Left), Command::Leave) => Ok(vec![]),
            (Some(Self::Held { .. }), Command::Leave) => Ok(vec![Event::Left]),
            (None, Command::Leave) => Err(Refusal::Unknown),
        }
    }

    fn evolve(this: Option<Self>, event: &Event) -> Option<Self> {
        match (this, event) {
            (None, Event::Taken { hall, seat, until }) => Some(Self::Held {
                hall: hall.clone(),
                seat: *seat,
                until: *until,
            }),
            (Some(_), Event::Left) => Some(Self::Left),
            _ => None,
        }
    }

    fn claim_ranges(_: Option<&Self>, command: &Command) -> Vec<ClaimRange> {
        match command {
            Command::Take { hall, capacity } => {
                let seats = Units {
                    count: *capacity,
                    wanted: 1,
                };
                vec![ClaimRange::all(format!("hall/{hall}")).of_units(seats)]
            }
            Command::Leave => vec![],
        }
    }

    fn claims(&self) -> Claims {
        match self {
            Self::Held { hall, seat, .. } => Claims::none().and(format!("hall/{hall}"), key(*seat)),
            Self::Left => Claims::none(),
        }
    }

    fn due(&self) -> Option<Timestamp> {
        match self {
            Self::Held { until, .. } => Some(*until),
            Self::Left => None,
        }
    }

    fn when_due() -> Option<Command> {
        Some(Command::Leave)
    }
}

/// The key of a seat: it is held for ever, so there is one.
fn key(seat: u32) -> String {
    ClaimRange::unit_key(seat, "")
}

/// The seat as a message that exists in the contracts, so that it can travel.
impl Publish for Seat {
    fn facts(id: SeatId, event: &Event, after: &Versioned<Self>) -> Vec<Fact> {
        let action = match event {
            Event::Taken { seat, .. } => format!("taken {seat}"),
            Event::Left => "left".to_owned(),
        };
        vec![Fact::of(&berth::room::v1::RoomReserved {
            room_id: id.to_string(),
            reservation_id: format!("{action} at {}", after.version),
            status: 0,
        })]
    }
}

impl Restore for Seat {
    fn event(recorded: &Recorded, _: Option<&Self>) -> Option<Event> {
        let received = recorded.receive::<berth::room::v1::RoomReserved>().ok()?;
        let mut words = received.event.reservation_id.split(' ');
        match words.next()? {
            "taken" => Some(Event::Taken {
                // There is no other one.
                hall: "a".into(),
                seat: words.next()?.parse().ok()?,
                until: recorded
                    .at
                    .checked_add(SignedDuration::from_mins(15))
                    .ok()?,
            }),
            _ => Some(Event::Left),
        }
    }

    fn restores_from(event_type: &str) -> bool {
        event_type == "berth.room.v1.RoomReserved"
    }
}

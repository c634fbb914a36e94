// The running example of the recipes: a lamp that can be lit.
use berth::room::v1::{RoomReleased, RoomReserved};
use chassis::{Aggregate, Context, EventType, Fact, Received, Kind, Malformed, Now, Policies, Publish, Refused, Then, Versioned};
use serde::{Deserialize, Serialize};

chassis::id! {
    /// A lamp.
    LampId,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Lamp {
    Dark,
    Lit,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Light,
    Douse,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Lit,
    Doused,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("no such lamp")]
    Unknown,
}

impl Refused for Refusal {
    fn kind(&self) -> Kind {
        Kind::NotFound
    }
    fn reason(&self) -> &'static str {
        "NOT_FOUND"
    }
}

impl Aggregate for Lamp {
    const KIND: &'static str = "lamp";
    type Id = LampId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(this: Option<&Self>, command: &Command, _now: &Now) -> Result<Vec<Event>, Refusal> {
        match (this, command) {
            (None | Some(Self::Dark), Command::Light) => Ok(vec![Event::Lit]),
            (Some(Self::Lit), Command::Douse) => Ok(vec![Event::Doused]),
            (Some(Self::Lit), Command::Light) | (Some(Self::Dark), Command::Douse) => Ok(vec![]),
            (None, Command::Douse) => Err(Refusal::Unknown),
        }
    }

    fn evolve(this: Option<Self>, event: &Event) -> Option<Self> {
        match (this, event) {
            (_, Event::Lit) => Some(Self::Lit),
            (Some(_), Event::Doused) => Some(Self::Dark),
            (None, Event::Doused) => None,
        }
    }
}

impl Publish for Lamp {
    fn facts(id: LampId, event: &Event, _after: &Versioned<Self>) -> Vec<Fact> {
        let room_id = id.to_string();
        match event {
            Event::Lit => vec![Fact::of(&RoomReserved { room_id, ..RoomReserved::default() })],
            Event::Doused => vec![Fact::of(&RoomReleased { room_id, ..RoomReleased::default() })],
        }
    }
}

pub const EVENTS: &[EventType] = &[EventType::of::<RoomReserved>(), EventType::of::<RoomReleased>()];

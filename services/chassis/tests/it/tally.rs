//! A small consumer: records the events of each seat, and fails on chosen ones.

use chassis::{
    Aggregate, Fact, Kind, Malformed, Now, Policies, Publish, Received, Refused, Then, Versioned,
};
use serde::{Deserialize, Serialize};

use crate::counter::SeatId;

/// The events received about one seat, in the order in which they were applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally(pub(crate) Vec<String>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not now")]
pub(crate) struct NotNow;

impl Refused for NotNow {
    fn kind(&self) -> Kind {
        Kind::Precondition
    }
    fn reason(&self) -> &'static str {
        "NOT_NOW"
    }
}

impl Aggregate for Tally {
    const KIND: &'static str = "tally";
    type Id = SeatId;
    type Command = String;
    type Event = String;
    type Refusal = NotNow;

    fn decide(_: Option<&Self>, command: &String, _: &Now) -> Result<Vec<String>, NotNow> {
        Ok(vec![command.clone()])
    }

    fn evolve(this: Option<Self>, event: &String) -> Option<Self> {
        let mut received = this.map_or_else(Vec::new, |tally| tally.0);
        received.push(event.clone());
        Some(Self(received))
    }
}

impl Publish for Tally {
    fn facts(_: SeatId, _: &String, _: &Versioned<Self>) -> Vec<Fact> {
        Vec::new()
    }
}

/// The policies of the consumer. It fails on odd seats if `poison` returns true.
pub(crate) fn policies(poison: fn(&str) -> bool) -> Policies {
    // A policy is a plain function, so the two variants are two functions.
    if poison("x") {
        Policies::new().whenever("count-or-choke", whenever_a_seat_is_taken_fail_on_odd_ones)
    } else {
        Policies::new().whenever("count", whenever_a_seat_is_taken_count_it)
    }
}

type SeatTaken = berth::room::v1::RoomReserved;

fn whenever_a_seat_is_taken_count_it(
    received: Received<SeatTaken>,
) -> Result<Then<Tally>, Malformed> {
    Ok(Then::on(
        received.subject.parse()?,
        received.event.reservation_id,
    ))
}

fn whenever_a_seat_is_taken_fail_on_odd_ones(
    received: Received<SeatTaken>,
) -> Result<Then<Tally>, Malformed> {
    let seat: SeatId = received.subject.parse()?;
    match seat.uuid().as_u128() % 4 {
        1 => Err(Malformed::because("odd")),
        3 => panic!("odd"),
        _ => Ok(Then::on(seat, received.event.reservation_id)),
    }
}

//! A small consumer: counts what it hears about each seat, and cannot take what it is told to choke on.

use chassis::{
    Aggregate, Fact, Kind, Malformed, Now, Policies, Publish, Received, Refused, Then, Versioned,
};
use serde::{Deserialize, Serialize};

use crate::counter::SeatId;

/// Everything that was heard about one seat, in the order in which it had its effect.
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
        let mut heard = this.map_or_else(Vec::new, |tally| tally.0);
        heard.push(event.clone());
        Some(Self(heard))
    }
}

impl Publish for Tally {
    fn facts(_: SeatId, _: &String, _: &Versioned<Self>) -> Vec<Fact> {
        Vec::new()
    }
}

/// Counts; chokes on the seats whose number ends in `poison`, for as long as it exists.
pub(crate) fn policies(poison: fn(&str) -> bool) -> Policies {
    // A policy is a plain function: the two ways of counting are two functions.
    if poison("x") {
        Policies::new().whenever("count-or-choke", whenever_a_seat_is_taken_choke_on_odd_ones)
    } else {
        Policies::new().whenever("count", whenever_a_seat_is_taken_count_it)
    }
}

type SeatTaken = berth::room::v1::RoomReserved;

fn whenever_a_seat_is_taken_count_it(heard: Received<SeatTaken>) -> Result<Then<Tally>, Malformed> {
    Ok(Then::on(heard.subject.parse()?, heard.event.reservation_id))
}

fn whenever_a_seat_is_taken_choke_on_odd_ones(
    heard: Received<SeatTaken>,
) -> Result<Then<Tally>, Malformed> {
    let seat: SeatId = heard.subject.parse()?;
    match seat.uuid().as_u128() % 4 {
        1 => Err(Malformed::because("odd")),
        3 => panic!("odd"),
        _ => Ok(Then::on(seat, heard.event.reservation_id)),
    }
}

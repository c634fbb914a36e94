//! What the world sees of a room.

use berth::{offer::v1 as offer, room::v1};
use chassis::{Fact, Publish, Versioned, base::time};

use crate::domain::{
    Room, RoomId,
    room::{Action, Event, Status},
    terms::{Approval, Sold},
};

/// A room as the contract shows it.
pub(crate) fn to_proto(id: RoomId, room: &Versioned<Room>) -> v1::Room {
    let state = &room.state;
    // What the offer says too is said in the same words.
    let offer = to_offer(id, state);
    v1::Room {
        room_id: offer.offer_id,
        host_id: offer.owner_id,
        title: offer.title,
        description: state.terms.description.clone(),
        unit: offer.unit,
        max_persons: offer.max_persons,
        units: offer.capacity,
        price: offer.price,
        approval: offer.approval,
        cancellation_tiers: offer.cancellation_tiers,
        blackouts: offer.blackouts,
        time_zone: offer.time_zone,
        check_in_time: offer.check_in_time,
        check_out_time: offer.check_out_time,
        status: status(state).into(),
        review_count: state.tally.reviews(),
        average_rating: state.tally.average(),
        last_action: action(state.last).into(),
        version: offer.version,
        create_time: Some(time::to_proto(room.created)),
        update_time: Some(time::to_proto(room.updated)),
    }
}

/// The terms of a room in the language of everything that can be booked.
pub(crate) fn to_offer(id: RoomId, room: &Room) -> offer::Offer {
    let terms = &room.terms;
    let (unit, check_in, check_out) = match terms.sold {
        Sold::ByNight {
            check_in,
            check_out,
        } => (offer::Unit::Night, Some(check_in), Some(check_out)),
        Sold::ByHour => (offer::Unit::Hour, None, None),
    };
    let approval = match terms.approval {
        Approval::Nobody => offer::Approval::None,
        Approval::Host => offer::Approval::Host,
    };
    let tiers = terms.tiers.iter().map(|tier| offer::CancellationTier {
        hours_before: tier.hours_before,
        refund_percent: tier.percent,
    });
    let blackouts = terms.blackouts.iter().map(|blackout| offer::DateRange {
        start_date: Some(time::date_to_proto(blackout.start)),
        end_date: Some(time::date_to_proto(blackout.end)),
    });
    offer::Offer {
        offer_id: id.to_string(),
        kind: offer::OfferKind::Room.into(),
        owner_id: room.host.to_string(),
        title: terms.title.clone(),
        unit: unit.into(),
        capacity: terms.units,
        max_persons: terms.max_persons,
        price: Some(terms.price.into()),
        approval: approval.into(),
        cancellation_tiers: tiers.collect(),
        time_zone: terms.zone.clone(),
        check_in_time: check_in.map(time::time_of_day_to_proto),
        check_out_time: check_out.map(time::time_of_day_to_proto),
        blackouts: blackouts.collect(),
        withdrawn: room.withdrawn,
        version: room.version,
    }
}

fn status(room: &Room) -> v1::RoomStatus {
    match room.status() {
        Status::Available => v1::RoomStatus::Available,
        Status::Reserved => v1::RoomStatus::Reserved,
        Status::Deleted => v1::RoomStatus::Deleted,
    }
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Registered => "registered",
        Action::Modified => "modified",
        Action::Deleted => "deleted",
        Action::Reserved => "reserved",
        Action::Released => "released",
        Action::Reviewed => "reviewed",
    }
}

impl Publish for Room {
    fn facts(id: RoomId, event: &Event, after: &Versioned<Self>) -> Vec<Fact> {
        let room = Some(to_proto(id, after));
        let offer = Some(to_offer(id, &after.state));
        let status = status(&after.state).into();
        let room_id = id.to_string();
        let fact = match event {
            Event::Registered { .. } => Fact::of(&v1::RoomRegistered { room, offer }),
            Event::Modified(_) => Fact::of(&v1::RoomModified { room, offer }),
            Event::Deleted => Fact::of(&v1::RoomDeleted { room, offer }),
            Event::Reserved(reservation) => Fact::of(&v1::RoomReserved {
                room_id,
                reservation_id: reservation.to_string(),
                status,
            })
            .about(reservation),
            Event::Released(reservation) => Fact::of(&v1::RoomReleased {
                room_id,
                reservation_id: reservation.to_string(),
                status,
            })
            .about(reservation),
            Event::Forgone(_) | Event::Reviewed(_) => return Vec::new(),
        };
        vec![fact]
    }
}

//! Rooms: requests, responses, events.

use berth::{offer::v1 as offer, room::v1};
use chassis::{Fact, MemberId, Publish, Versioned, Violations, base::time};
use tonic::Status;

use super::{id, masked, page, room_fields as fields, version};
use crate::{
    domain::{
        By, Room, RoomId,
        room::{Action, Command, Event, Status as RoomStatus},
        terms::{Approval, Change, Sold, Terms},
    },
    views::Page,
};

/// The fields that ModifyRoom can change.
pub(super) const CHANGEABLE: &[&str] = &[
    "title",
    "description",
    "max_persons",
    "price",
    "approval",
    "cancellation_tiers",
    "blackouts",
    "check_in_time",
    "check_out_time",
];

pub(crate) fn register(request: v1::RegisterRoomRequest) -> Result<(RoomId, Command), Status> {
    let mut violations = Violations::new();
    let v = &mut violations;
    let room = request.room.unwrap_or_default();
    let id = v.parse("room.room_id", &room.room_id);
    let host = v.parse("room.host_id", &room.host_id);
    let title = fields::title(v, &room);
    let description = fields::description(v, &room);
    let sold = fields::sold(v, &room);
    let max_persons = fields::max_persons(v, &room);
    let units = fields::units(v, &room);
    let price = fields::price(v, &room);
    let approval = fields::approval(v, &room);
    let tiers = fields::tiers(v, &room);
    let blackouts = fields::blackouts(v, &room);
    let zone = fields::zone(v, &room);
    let command = (|| {
        let terms = Terms {
            title: title?,
            description: description?,
            sold: sold?,
            max_persons: max_persons?,
            units: units?,
            price: price?,
            approval: approval?,
            tiers,
            blackouts,
            zone: zone?,
        };
        Some((id?, Command::Register { host: host?, terms }))
    })();
    violations.check(command)
}

pub(crate) fn modify(by: By, request: v1::ModifyRoomRequest) -> Result<(RoomId, Command), Status> {
    let mut violations = Violations::new();
    let v = &mut violations;
    let room = request.room.unwrap_or_default();
    let id = v.parse("room.room_id", &room.room_id);
    let from = version(v, "room.version", room.version);
    let fields = masked(v, request.update_mask.as_ref(), CHANGEABLE);
    // A field that is filtered out here has a violation.
    let changes = fields
        .into_iter()
        .filter_map(|field| change(v, &room, field));
    let changes: Vec<Change> = changes.collect();
    violations.check(id.map(|id| (id, Command::Modify { by, from, changes })))
}

fn change(v: &mut Violations, room: &v1::Room, field: &str) -> Option<Change> {
    match field {
        "title" => fields::title(v, room).map(Change::Title),
        "description" => fields::description(v, room).map(Change::Description),
        "max_persons" => fields::max_persons(v, room).map(Change::MaxPersons),
        "price" => fields::price(v, room).map(Change::Price),
        "approval" => fields::approval(v, room).map(Change::Approval),
        "cancellation_tiers" => Some(Change::Tiers(fields::tiers(v, room))),
        "blackouts" => Some(Change::Blackouts(fields::blackouts(v, room))),
        "check_in_time" => Some(Change::CheckIn(fields::check_in(v, room))),
        "check_out_time" => Some(Change::CheckOut(fields::check_out(v, room))),
        _ => None,
    }
}

pub(crate) fn delete(by: By, request: &v1::DeleteRoomRequest) -> Result<(RoomId, Command), Status> {
    Ok((id("room_id", &request.room_id)?, Command::Delete { by }))
}

pub(crate) fn list(
    request: &v1::ListRoomsRequest,
) -> Result<(Option<MemberId>, Page<RoomId>), Status> {
    let mut violations = Violations::new();
    let host = if request.host_id.is_empty() {
        None
    } else {
        violations.parse("host_id", &request.host_id)
    };
    let page = page(&mut violations, request.page_size, &request.page_token);
    violations.check(page.map(|page| (host, page)))
}

pub(crate) fn to_proto(id: RoomId, room: &Versioned<Room>) -> v1::Room {
    let state = &room.state;
    // A room has every field of its offer with the same value.
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

/// The offer of a room.
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
        RoomStatus::Available => v1::RoomStatus::Available,
        RoomStatus::Reserved => v1::RoomStatus::Reserved,
        RoomStatus::Deleted => v1::RoomStatus::Deleted,
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

//! What is asked of rooms.

use berth::room::v1;
use chassis::{MemberId, Violations};
use tonic::Status;

use super::{fields, id, masked, page, version};
use crate::{
    domain::{
        By, RoomId,
        room::Command,
        terms::{Change, Terms},
    },
    views::Page,
};

/// What of a room may change.
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

/// Takes a room to register.
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

/// Takes changes to a room.
pub(crate) fn modify(by: By, request: v1::ModifyRoomRequest) -> Result<(RoomId, Command), Status> {
    let mut violations = Violations::new();
    let v = &mut violations;
    let room = request.room.unwrap_or_default();
    let id = v.parse("room.room_id", &room.room_id);
    let from = version(v, "room.version", room.version);
    let fields = masked(v, request.update_mask.as_ref(), CHANGEABLE);
    // One that is left out here was noted as wrong.
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

/// Takes a room to delete.
pub(crate) fn delete(by: By, request: &v1::DeleteRoomRequest) -> Result<(RoomId, Command), Status> {
    Ok((id("room_id", &request.room_id)?, Command::Delete { by }))
}

/// Takes which rooms are listed.
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

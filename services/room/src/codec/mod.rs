//! Translates between the contract and the domain: requests, responses, events.

pub(crate) mod review;
pub(crate) mod room;
mod room_fields;
#[cfg(test)]
mod tests;

use std::{fmt::Display, str::FromStr};

use berth::room::v1;
use chassis::{
    Caller, EventType, Violations,
    base::{page, time},
};
use tonic::Status;

use crate::{
    domain::By,
    views::{Entry, Page},
};

/// The events that the context publishes.
pub(crate) const EVENTS: &[EventType] = &[
    EventType::of::<v1::RoomRegistered>(),
    EventType::of::<v1::RoomModified>(),
    EventType::of::<v1::RoomDeleted>(),
    EventType::of::<v1::RoomReserved>(),
    EventType::of::<v1::RoomReleased>(),
    EventType::of::<v1::ReviewCreated>(),
    EventType::of::<v1::ReviewModified>(),
    EventType::of::<v1::ReviewDeleted>(),
];

/// The caller as the issuer of a command.
pub(crate) fn by(caller: &Caller) -> Result<By, Status> {
    if caller.is_admin() {
        Ok(By::Operator)
    } else {
        caller.member().map(By::Member)
    }
}

/// Parses the id of a request that has no other field.
pub(crate) fn id<Id: FromStr<Err: Display>>(field: &str, text: &str) -> Result<Id, Status> {
    let mut violations = Violations::new();
    let id = violations.parse(field, text);
    violations.check(id)
}

/// The token of the page that begins after an entry.
pub(crate) fn page_token<Id: ToString>((at, id): &Entry<Id>) -> String {
    page::token([&time::to_micros(*at).to_string(), &id.to_string()])
}

fn page<Id: FromStr<Err: Display>>(v: &mut Violations, size: i32, token: &str) -> Option<Page<Id>> {
    let size = v.page_size(size);
    let after = v.page_token(token).and_then(|[at, id]| {
        let at = v.parse("page_token", &at).map(time::from_micros)?;
        Some((at, v.parse("page_token", &id)?))
    });
    size.map(|size| Page { after, size })
}

/// The fields that an update mask names. An empty mask names all that can change.
fn masked<'a>(
    v: &mut Violations,
    mask: Option<&'a prost_types::FieldMask>,
    all: &'a [&'a str],
) -> Vec<&'a str> {
    let paths = mask.map_or(&[][..], |mask| &mask.paths);
    let is_known = paths.iter().all(|path| all.contains(&path.as_str()));
    v.require(
        is_known,
        "update_mask",
        format!("must only name {}", all.join(", ")),
    );
    // In the order of the contract and each once: masks with the same fields must give equal commands.
    let is_named = |path: &&str| paths.is_empty() || paths.iter().any(|named| named == path);
    all.iter().copied().filter(is_named).collect()
}

/// The version on which a modification is based.
fn version(v: &mut Violations, field: &str, version: i64) -> i64 {
    v.require(
        version >= 1,
        field,
        "must be the version on which the change is based",
    );
    version
}

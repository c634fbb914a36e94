//! The wall between the contract and the domain.

mod fields;
pub(crate) mod review;
pub(crate) mod room;
pub(crate) mod shown;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use berth::room::v1;
use chassis::{
    Caller, EventType, Violations,
    base::{page, time},
};
use tonic::Status;

use crate::{
    domain::By,
    views::{Page, Place},
};

/// What this context publishes.
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

/// On whose behalf a caller acts.
pub(crate) fn by(caller: &Caller) -> Result<By, Status> {
    if caller.is_admin() {
        Ok(By::Operator)
    } else {
        caller.member().map(By::Member)
    }
}

/// Takes an id that is all that is asked for.
pub(crate) fn id<Id: FromStr<Err: std::fmt::Display>>(
    field: &str,
    text: &str,
) -> Result<Id, Status> {
    let mut violations = Violations::new();
    let id = violations.parse(field, text);
    violations.check(id)
}

/// The token of the page after a line of a list.
pub(crate) fn token<Id: ToString>((at, id): &Place<Id>) -> String {
    page::token([&time::to_micros(*at).to_string(), &id.to_string()])
}

/// Takes which page of a list is asked for.
fn page<Id: FromStr>(violations: &mut Violations, size: i32, token: &str) -> Option<Page<Id>> {
    let size = violations.page_size(size);
    let after = match violations.page_token(token) {
        None => None,
        Some([at, id]) => {
            let at = at.parse().ok().map(time::from_micros);
            let place = at.zip(id.parse().ok());
            violations.require(
                place.is_some(),
                "page_token",
                "must be the next_page_token of a page",
            );
            place
        }
    };
    size.map(|size| Page { after, size })
}

/// The paths of a mask that may change; all of them if it is empty.
fn masked<'a>(
    violations: &mut Violations,
    mask: Option<&'a prost_types::FieldMask>,
    all: &'a [&'a str],
) -> Vec<&'a str> {
    let paths = mask.map_or(&[][..], |mask| &mask.paths);
    let is_known = paths.iter().all(|path| all.contains(&path.as_str()));
    violations.require(
        is_known,
        "update_mask",
        format!("must name nothing but {}", all.join(", ")),
    );
    // In the order of the contract and each once, so that the same mask is the same however it is written.
    let wanted = |path: &&str| paths.is_empty() || paths.iter().any(|named| named == path);
    all.iter().copied().filter(wanted).collect()
}

/// Takes the version from which something was modified.
fn version(violations: &mut Violations, field: &str, version: i64) -> i64 {
    violations.require(version >= 1, field, "must be the version it was made from");
    version
}

//! Translates between the contract and the views: requests, rows, page tokens.

pub(crate) mod my_page;
pub(crate) mod room_view;

use berth::reservation::v1::ReservationStatus;
use chassis::{StoreError, Violations, store::Row};

fn reservation_status(v: &mut Violations, field: &str, status: i32) -> Option<ReservationStatus> {
    let status = ReservationStatus::try_from(status);
    v.require(status.is_ok(), field, "must be a status of a reservation");
    status.ok()
}

/// A column of 32 bits, saturating.
fn int32(row: &Row, column: usize) -> Result<i32, StoreError> {
    row.int(column)
        .map(|value| i32::try_from(value).unwrap_or(i32::MAX))
}

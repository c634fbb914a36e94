//! Rooms on one row each.

use berth::{
    room::v1::RoomStatus,
    view::v1::{GetRoomViewRequest, ListRoomViewsRequest, RoomView},
};
use chassis::{
    Caller, OfferId, StoreError, Violations,
    base::{page, time},
    store::{Row, Value},
};
use tonic::Status;

use super::{int32, reservation_status};
use crate::views::queries::{After, Order, Rooms};

pub(crate) fn query(request: &ListRoomViewsRequest) -> Result<Rooms, Status> {
    let mut v = Violations::new();
    let host = (!request.host_id.is_empty())
        .then(|| v.parse("host_id", &request.host_id))
        .flatten();
    let status = RoomStatus::try_from(request.room_status);
    v.require(status.is_ok(), "room_status", "must be a status of a room");
    let reservation_status =
        reservation_status(&mut v, "reservation_status", request.reservation_status);
    let order = match request.order_by.as_str() {
        "" | "title" => Some((Order::Title, false)),
        "title desc" => Some((Order::Title, true)),
        "price" => Some((Order::Price, false)),
        "price desc" => Some((Order::Price, true)),
        "update_time" => Some((Order::UpdateTime, false)),
        "update_time desc" => Some((Order::UpdateTime, true)),
        _ => None,
    };
    v.require(
        order.is_some(),
        "order_by",
        "must be title, price or update_time, optionally followed by desc",
    );
    let size = v.page_size(request.page_size);
    let token = v.page_token(&request.page_token).zip(order);
    let after = token.and_then(|([order_by, value, room_id], (order, _))| {
        let value = sort_value(order, value);
        v.require(
            order_by == request.order_by && value.is_some(),
            "page_token",
            "must be the next_page_token of a page with the same order_by",
        );
        value.map(|value| After { value, room_id })
    });
    let query = (|| {
        let (order, descending) = order?;
        Some(Rooms {
            host,
            status: status.ok()?,
            reservation_status: reservation_status?,
            order,
            descending,
            after,
            size: size?,
        })
    })();
    v.check(query)
}

pub(crate) fn room_id(request: &GetRoomViewRequest) -> Result<OfferId, Status> {
    let mut v = Violations::new();
    let id = v.parse("room_id", &request.room_id);
    v.check(id)
}

fn sort_value(order: Order, value: String) -> Option<Value> {
    match order {
        Order::Title => Some(value.into()),
        Order::Price | Order::UpdateTime => value.parse::<i64>().ok().map(Value::from),
    }
}

/// The token of the page that begins after a row.
pub(crate) fn page_token(request: &ListRoomViewsRequest, row: &Row) -> Result<String, StoreError> {
    let room_id = row.text(0)?;
    let value = match request.order_by.split(' ').next() {
        Some("price") => row.int(6)?.to_string(),
        Some("update_time") => row.int(15)?.to_string(),
        _ => row.text(2)?.to_owned(),
    };
    Ok(page::token([&request.order_by, &value, room_id]))
}

/// The row of a room, with the reservation's id only if the caller is its host or its customer.
pub(crate) fn to_proto(row: &Row, caller: &Caller) -> Result<RoomView, StoreError> {
    let (host_id, customer_id) = (row.text(1)?, row.text(11)?);
    // Operators and services do not get the id either: the rpc is public, so it grants nothing by role.
    let is_concerned = caller
        .member
        .map(|member| member.to_string())
        .is_some_and(|member| member == host_id || member == customer_id);
    let reservation_id = if is_concerned { row.text(10)? } else { "" };
    let price = row.int(6)?;
    Ok(RoomView {
        room_id: row.text(0)?.into(),
        host_id: host_id.into(),
        title: row.text(2)?.into(),
        description: row.text(3)?.into(),
        unit: int32(row, 4)?,
        price: Some(berth::google::r#type::Money {
            currency_code: row.text(5)?.into(),
            units: price / 1_000_000_000,
            nanos: i32::try_from(price % 1_000_000_000).unwrap_or(0),
        }),
        room_status: int32(row, 7)?,
        review_count: int32(row, 8)?,
        average_rating: mean(int32(row, 9)?, int32(row, 8)?),
        reservation_id: reservation_id.into(),
        reservation_status: int32(row, 12)?,
        payment_status: int32(row, 13)?,
        reservation_count: int32(row, 14)?,
        update_time: Some(time::to_proto(row.time(15)?)),
    })
}

fn mean(sum: i32, count: i32) -> f64 {
    if count > 0 {
        f64::from(sum) / f64::from(count)
    } else {
        0.0
    }
}

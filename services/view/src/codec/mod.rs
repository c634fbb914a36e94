//! The wall between the contract and the views.

use berth::{
    offer::v1::Period,
    reservation::v1::ReservationStatus,
    room::v1::RoomStatus,
    view::v1::{ListMyPageRequest, ListRoomViewsRequest, MyPageEntry, RoomView},
};
use chassis::{
    Caller, MemberId, Money, StoreError, Violations,
    base::{page, time},
    store::{Row, Value},
};
use prost::Message;
use tonic::Status;

use crate::views::query::{After, MyPage, Order, Rooms};

const TOKEN: &str = "page_token";

/// Which rooms are asked for; one more than fit on the page, to know whether there is a next one.
pub(crate) fn rooms(request: &ListRoomViewsRequest) -> Result<Rooms, Status> {
    let mut violations = Violations::new();
    let host = (!request.host_id.is_empty())
        .then(|| violations.parse("host_id", &request.host_id))
        .flatten();
    let status = RoomStatus::try_from(request.room_status);
    violations.require(status.is_ok(), "room_status", "must be a status of a room");
    let reservation_status = reservation_status(
        &mut violations,
        "reservation_status",
        request.reservation_status,
    );
    let order = match request.order_by.as_str() {
        "" | "title" => Some((Order::Title, false)),
        "title desc" => Some((Order::Title, true)),
        "price" => Some((Order::Price, false)),
        "price desc" => Some((Order::Price, true)),
        "update_time" => Some((Order::UpdateTime, false)),
        "update_time desc" => Some((Order::UpdateTime, true)),
        _ => {
            violations.add(
                "order_by",
                "must be title, price or update_time, perhaps with desc",
            );
            None
        }
    };
    let size = violations.page_size(request.page_size);
    let after = match (violations.page_token(&request.page_token), order) {
        (Some([made_for, value, room_id]), Some((order, _))) => {
            let value = after(order, value);
            violations.require(
                made_for == request.order_by && value.is_some(),
                TOKEN,
                "must be the next_page_token of a page in the same order",
            );
            value.map(|value| After { value, room_id })
        }
        _ => None,
    };
    let rooms = || {
        let (order, descending) = order?;
        Some(Rooms {
            host,
            status: status.ok()?,
            reservation_status: reservation_status?,
            order,
            descending,
            after,
            limit: size? + 1,
        })
    };
    let rooms = rooms();
    violations.check(rooms)
}

fn after(order: Order, value: String) -> Option<Value> {
    match order {
        Order::Title => Some(value.into()),
        Order::Price | Order::UpdateTime => value.parse::<i64>().ok().map(Value::from),
    }
}

fn reservation_status(
    violations: &mut Violations,
    field: &str,
    status: i32,
) -> Option<ReservationStatus> {
    let status = ReservationStatus::try_from(status);
    violations.require(status.is_ok(), field, "must be a status of a reservation");
    status.ok()
}

/// The token of the page of rooms after a row.
pub(crate) fn room_token(request: &ListRoomViewsRequest, row: &Row) -> Result<String, StoreError> {
    let room_id = row.text(0)?;
    let value = match request.order_by.split(' ').next() {
        Some("price") => row.int(6)?.to_string(),
        Some("update_time") => row.int(15)?.to_string(),
        _ => row.text(2)?.to_owned(),
    };
    Ok(page::token([&request.order_by, &value, room_id]))
}

/// A room's line as a caller may see it.
pub(crate) fn room_view(row: &Row, caller: &Caller) -> Result<RoomView, StoreError> {
    let (count, sum) = (row.int(8)?, row.int(9)?);
    let concerned = [row.text(1)?, row.text(11)?];
    // Not even an operator's or a service's: the line is public.
    let is_concerned = caller
        .member
        .is_some_and(|member| concerned.contains(&member.to_string().as_str()));
    let price = row.int(6)?;
    Ok(RoomView {
        room_id: row.text(0)?.into(),
        host_id: row.text(1)?.into(),
        title: row.text(2)?.into(),
        description: row.text(3)?.into(),
        unit: small(row, 4)?,
        price: Some(berth::google::r#type::Money {
            currency_code: row.text(5)?.into(),
            units: price / 1_000_000_000,
            nanos: i32::try_from(price % 1_000_000_000).unwrap_or(0),
        }),
        room_status: small(row, 7)?,
        review_count: small(row, 8)?,
        average_rating: mean(sum, count),
        reservation_id: if is_concerned {
            row.text(10)?.into()
        } else {
            String::new()
        },
        reservation_status: small(row, 12)?,
        payment_status: small(row, 13)?,
        reservation_count: small(row, 14)?,
        update_time: Some(time::to_proto(row.time(15)?)),
    })
}

fn small(row: &Row, column: usize) -> Result<i32, StoreError> {
    row.int(column)
        .map(|value| i32::try_from(value).unwrap_or(i32::MAX))
}

fn mean(sum: i64, count: i64) -> f64 {
    let number = |value: i64| f64::from(i32::try_from(value).unwrap_or(i32::MAX));
    if count > 0 {
        number(sum) / number(count)
    } else {
        0.0
    }
}

/// Which of a customer's reservations are asked for; one more than fit on the page.
pub(crate) fn my_page(customer: MemberId, request: &ListMyPageRequest) -> Result<MyPage, Status> {
    let mut violations = Violations::new();
    let status = reservation_status(&mut violations, "status", request.status);
    let size = violations.page_size(request.page_size);
    let before = match violations.page_token(&request.page_token) {
        None => None,
        Some([at, id]) => violations
            .parse(TOKEN, &at)
            .zip(violations.parse(TOKEN, &id)),
    };
    let page = status.zip(size).map(|(status, size)| MyPage {
        customer,
        status,
        before,
        limit: size + 1,
    });
    violations.check(page)
}

/// The token of the page after an entry.
pub(crate) fn my_page_token(row: &Row) -> Result<String, StoreError> {
    Ok(page::token([&row.int(14)?.to_string(), row.text(0)?]))
}

/// One of a customer's reservations.
pub(crate) fn my_page_entry(row: &Row) -> Result<MyPageEntry, StoreError> {
    let broken = |error: prost::DecodeError| StoreError::Bug(error.to_string());
    let period = row.blob(4)?;
    let mut changed = row.int(15)?;
    for column in 16..=18 {
        changed = changed.max(row.int(column)?);
    }
    Ok(MyPageEntry {
        reservation_id: row.text(0)?.into(),
        customer_id: row.text(1)?.into(),
        offer_id: row.text(2)?.into(),
        title: row.text(3)?.into(),
        period: (!period.is_empty())
            .then(|| Period::decode(period))
            .transpose()
            .map_err(broken)?,
        price: money(row, 5)?.map(Into::into),
        status: small(row, 7)?,
        reason: row.text(8)?.into(),
        payment_status: small(row, 9)?,
        refund: money(row, 10)?.map(Into::into),
        message_count: small(row, 12)?,
        reviewed: row.int(13)? > 0,
        create_time: Some(time::to_proto(row.time(14)?)),
        update_time: Some(time::to_proto(time::from_micros(changed))),
    })
}

/// The amount in a column of a currency and the next one; none without a currency.
fn money(row: &Row, column: usize) -> Result<Option<Money>, StoreError> {
    Ok(match row.text(column)?.parse() {
        Ok(currency) => Some(Money::new(currency, row.int(column + 1)?)),
        Err(_) => None,
    })
}

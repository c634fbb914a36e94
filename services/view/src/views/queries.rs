//! Queries of the views. Each reads the rows of the live generation in a single statement, so that it never mixes two
//! generations while a rebuild switches them.

use berth::{reservation::v1::ReservationStatus, room::v1::RoomStatus};
use chassis::{
    MemberId, OfferId, ReservationId, Store, StoreError, args,
    store::{Row, Value},
};

/// The sort order of rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Title,
    Price,
    UpdateTime,
}

impl Order {
    fn column(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Price => "price",
            Self::UpdateTime => "updated_at",
        }
    }
}

/// The sort key of the last room of the page before.
#[derive(Clone, Debug)]
pub(crate) struct After {
    /// Value of the column that the rooms are sorted by.
    pub(crate) value: Value,
    pub(crate) room_id: String,
}

/// A page of rooms.
#[derive(Clone, Debug)]
pub(crate) struct Rooms {
    pub(crate) host: Option<MemberId>,
    pub(crate) status: RoomStatus,
    pub(crate) reservation_status: ReservationStatus,
    pub(crate) order: Order,
    pub(crate) descending: bool,
    /// None for the first page.
    pub(crate) after: Option<After>,
    pub(crate) size: i64,
}

const ROOM_COLUMNS: &str = "room_id, host_id, title, description, unit, currency, price, room_status, review_count,
    rating_sum, reservation_id, customer_id, reservation_status, payment_status, reservation_count, updated_at";
const LIVE: &str = "generation = (SELECT live FROM view_generation WHERE id = 1)";

/// Rooms with the [`ROOM_COLUMNS`]. Has one row more than the page if there is a next page.
pub(crate) async fn rooms(store: &Store, page: Rooms) -> Result<Vec<Row>, StoreError> {
    let mut values = args![page.size + 1];
    // Status 0: no event of the room itself was received yet, only events of its reservations or reviews.
    let mut conditions = vec![LIVE.to_owned(), "room_status <> 0".to_owned()];
    let mut bind = |value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    if let Some(host) = page.host {
        conditions.push(format!("host_id = {}", bind(host.to_string().into())));
    }
    conditions.push(if page.status == RoomStatus::Unspecified {
        let deleted = bind(i32::from(RoomStatus::Deleted).into());
        format!("room_status <> {deleted}")
    } else {
        format!("room_status = {}", bind(i32::from(page.status).into()))
    });
    if page.reservation_status != ReservationStatus::Unspecified {
        let status = bind(i32::from(page.reservation_status).into());
        conditions.push(format!("reservation_status = {status}"));
    }
    let column = page.order.column();
    let (direction, beyond) = if page.descending {
        ("DESC", "<")
    } else {
        ("ASC", ">")
    };
    if let Some(After { value, room_id }) = page.after {
        let (value, room_id) = (bind(value), bind(room_id.into()));
        conditions.push(format!("({column}, room_id) {beyond} ({value}, {room_id})"));
    }
    let sql = format!(
        "SELECT {ROOM_COLUMNS} FROM room_view WHERE {}
         ORDER BY {column} {direction}, room_id {direction} LIMIT $1",
        conditions.join(" AND ")
    );
    query(store, sql, values).await
}

/// One room with the [`ROOM_COLUMNS`], even if it is deleted.
pub(crate) async fn room(store: &Store, id: OfferId) -> Result<Option<Row>, StoreError> {
    let sql = format!(
        "SELECT {ROOM_COLUMNS} FROM room_view WHERE {LIVE} AND room_id = $1 AND room_status <> 0"
    );
    Ok(query(store, sql, args![id.to_string()]).await?.pop())
}

/// A page of a customer's reservations.
#[derive(Clone, Debug)]
pub(crate) struct MyPage {
    pub(crate) customer: MemberId,
    pub(crate) status: ReservationStatus,
    /// Creation time in microseconds and id of the last reservation of the page before. None for the first page.
    pub(crate) after: Option<(i64, ReservationId)>,
    pub(crate) size: i64,
}

/// A customer's reservations, newest first, with payment, number of messages to the customer, and review. Has one row
/// more than the page if there is a next page.
pub(crate) async fn my_page(store: &Store, page: MyPage) -> Result<Vec<Row>, StoreError> {
    let mut values = args![page.customer.to_string(), page.size + 1];
    let mut conditions = vec![format!("r.{LIVE}"), "r.customer_id = $1".to_owned()];
    if page.status != ReservationStatus::Unspecified {
        values.push(i32::from(page.status).into());
        conditions.push(format!("r.status = ${}", values.len()));
    }
    if let Some((at, id)) = page.after {
        values.extend(args![at, id.to_string()]);
        let (at, id) = (values.len() - 1, values.len());
        conditions.push(format!("(r.created_at, r.reservation_id) < (${at}, ${id})"));
    }
    let same = |table: &str| {
        format!("{table}.generation = r.generation AND {table}.reservation_id = r.reservation_id")
    };
    let sql = format!(
        "SELECT r.reservation_id, r.customer_id, r.offer_id, r.title, r.period, r.currency, r.price, r.status, r.reason,
             COALESCE(p.status, 0), COALESCE(p.currency, ''), COALESCE(p.refund, 0), COALESCE(t.times, 0),
             COALESCE(v.rating, 0), r.created_at, r.changed_at, COALESCE(p.changed_at, 0), COALESCE(t.changed_at, 0),
             COALESCE(v.changed_at, 0)
         FROM reservation r LEFT JOIN payment p ON {} LEFT JOIN notified t ON {} AND t.recipient_id = r.customer_id
             LEFT JOIN review v ON {}
         WHERE {} ORDER BY r.created_at DESC, r.reservation_id DESC LIMIT $2",
        same("p"),
        same("t"),
        same("v"),
        conditions.join(" AND ")
    );
    query(store, sql, values).await
}

async fn query(store: &Store, sql: String, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
    store
        .read(move |conn| Box::pin(async move { conn.query(&sql, values).await }))
        .await
}

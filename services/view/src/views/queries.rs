//! What is asked of the views. Every query sees the rows of the live generation in one statement, so that a rebuild that
//! takes their place meanwhile is never seen half.

use berth::{reservation::v1::ReservationStatus, room::v1::RoomStatus};
use chassis::{
    MemberId, ReservationId, Store, StoreError, args,
    store::{Row, Value},
};

/// By what rooms are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Title,
    Price,
    UpdateTime,
}

/// Where a page of rooms begins: after this value of what they are sorted by, and this room.
#[derive(Clone, Debug)]
pub(crate) struct After {
    pub(crate) value: Value,
    pub(crate) room_id: String,
}

/// Which rooms are asked for.
#[derive(Clone, Debug)]
pub(crate) struct Rooms {
    pub(crate) host: Option<MemberId>,
    pub(crate) status: RoomStatus,
    pub(crate) reservation_status: ReservationStatus,
    pub(crate) order: Order,
    pub(crate) descending: bool,
    pub(crate) after: Option<After>,
    pub(crate) limit: i64,
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

const ROOM_COLUMNS: &str = "room_id, host_id, title, description, unit, currency, price, room_status, review_count,
    rating_sum, reservation_id, customer_id, reservation_status, payment_status, reservation_count, updated_at";
const LIVE: &str = "generation = (SELECT live FROM view_generation WHERE id = 1)";

/// Rooms, as [`ROOM_COLUMNS`].
pub(crate) async fn rooms(store: &Store, rooms: Rooms) -> Result<Vec<Row>, StoreError> {
    let mut values = args![rooms.limit];
    // A stub has no status yet.
    let mut only = vec![LIVE.to_owned(), "room_status <> 0".to_owned()];
    let mut place = |value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    if let Some(host) = rooms.host {
        only.push(format!("host_id = {}", place(host.to_string().into())));
    }
    only.push(if rooms.status == RoomStatus::Unspecified {
        let deleted = place(i32::from(RoomStatus::Deleted).into());
        format!("room_status <> {deleted}")
    } else {
        format!("room_status = {}", place(i32::from(rooms.status).into()))
    });
    if rooms.reservation_status != ReservationStatus::Unspecified {
        let status = place(i32::from(rooms.reservation_status).into());
        only.push(format!("reservation_status = {status}"));
    }
    let (column, way, beyond) = match (rooms.order.column(), rooms.descending) {
        (column, false) => (column, "ASC", ">"),
        (column, true) => (column, "DESC", "<"),
    };
    if let Some(After { value, room_id }) = rooms.after {
        let (value, room_id) = (place(value), place(room_id.into()));
        only.push(format!("({column}, room_id) {beyond} ({value}, {room_id})"));
    }
    let sql = format!(
        "SELECT {ROOM_COLUMNS} FROM room_view WHERE {} ORDER BY {column} {way}, room_id {way} LIMIT $1",
        only.join(" AND ")
    );
    query(store, sql, values).await
}

/// One room, deleted or not, as [`ROOM_COLUMNS`].
pub(crate) async fn room(store: &Store, room_id: String) -> Result<Option<Row>, StoreError> {
    let sql = format!(
        "SELECT {ROOM_COLUMNS} FROM room_view WHERE {LIVE} AND room_id = $1 AND room_status <> 0"
    );
    Ok(query(store, sql, args![room_id]).await?.pop())
}

/// Which of a customer's reservations are asked for.
#[derive(Clone, Debug)]
pub(crate) struct MyPage {
    pub(crate) customer: MemberId,
    pub(crate) status: ReservationStatus,
    /// Only those before this one: when it was requested, and its id.
    pub(crate) before: Option<(i64, ReservationId)>,
    pub(crate) limit: i64,
}

/// A customer's reservations, newest first, with their payment, the messages to the customer and the review.
pub(crate) async fn my_page(store: &Store, page: MyPage) -> Result<Vec<Row>, StoreError> {
    let mut values = args![page.customer.to_string(), page.limit];
    let mut only = vec![format!("r.{LIVE}"), "r.customer_id = $1".to_owned()];
    if page.status != ReservationStatus::Unspecified {
        values.push(i32::from(page.status).into());
        only.push(format!("r.status = ${}", values.len()));
    }
    if let Some((at, id)) = page.before {
        values.extend(args![at, id.to_string()]);
        let (at, id) = (values.len() - 1, values.len());
        only.push(format!("(r.created_at, r.reservation_id) < (${at}, ${id})"));
    }
    let same = |table: &str| {
        format!("{table}.generation = r.generation AND {table}.reservation_id = r.reservation_id")
    };
    let sql = format!(
        "SELECT r.reservation_id, r.customer_id, r.offer_id, r.title, r.period, r.currency, r.price, r.status, r.reason,
             COALESCE(p.status, 0), COALESCE(p.currency, ''), COALESCE(p.refund, 0), COALESCE(t.times, 0),
             COALESCE(v.rating, 0), r.created_at, r.changed_at, COALESCE(p.changed_at, 0), COALESCE(t.changed_at, 0),
             COALESCE(v.changed_at, 0)
         FROM reservation r LEFT JOIN payment p ON {} LEFT JOIN told t ON {} AND t.recipient_id = r.customer_id
             LEFT JOIN review v ON {}
         WHERE {} ORDER BY r.created_at DESC, r.reservation_id DESC LIMIT $2",
        same("p"),
        same("t"),
        same("v"),
        only.join(" AND ")
    );
    query(store, sql, values).await
}

async fn query(store: &Store, sql: String, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
    store
        .read(move |conn| Box::pin(async move { conn.query(&sql, values).await }))
        .await
}

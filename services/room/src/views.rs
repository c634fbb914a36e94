//! Read models: the list of rooms on offer and the reviews of each room, newest first.

use berth::room::v1::{ReviewCreated, ReviewDeleted, RoomDeleted, RoomRegistered};
use chassis::{
    MemberId, Received, ReservationId, StoreError, Timestamp, Views, args,
    base::time,
    store::{Conn, Migration, Row, Write},
};

use crate::domain::RoomId;

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_listings",
    sql: include_str!("../migrations/0001_listings.sql"),
}];

const ADD_ROOM: Write = Write::upsert(
    "room_listing",
    "room_id, host_id, created_at",
    "$1, $2, $3",
    &[1],
    "(room_id) DO NOTHING",
);
const REMOVE_ROOM: Write = Write::statement(
    "room_listing",
    "DELETE FROM room_listing WHERE room_id = $1",
);
const ADD_REVIEW: Write = Write::upsert(
    "review_listing",
    "reservation_id, room_id, created_at",
    "$1, $2, $3",
    &[1],
    "(reservation_id) DO NOTHING",
);
const REMOVE_REVIEW: Write = Write::statement(
    "review_listing",
    "DELETE FROM review_listing WHERE reservation_id = $1",
);

pub(crate) fn list() -> Views {
    Views::new()
        .on(list_room)
        .on(unlist_room)
        .on(list_review)
        .on(unlist_review)
}

/// An entry of a list: creation time and id, which are also its sort key.
pub(crate) type Entry<Id> = (Timestamp, Id);

/// A page of a list, newest first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Page<Id> {
    /// The last entry of the page before. None for the first page.
    pub(crate) after: Option<Entry<Id>>,
    /// Number of entries.
    pub(crate) size: i64,
}

impl<Id: ToString> Page<Id> {
    /// The sort key before which the page begins, as column values.
    fn key(&self) -> (i64, String) {
        let after = self.after.as_ref();
        after.map_or((i64::MAX, String::new()), |(at, id)| {
            (time::to_micros(*at), id.to_string())
        })
    }
}

/// A page of rooms, of one host or of all. Has one entry more than the page if there is a next page.
pub(crate) async fn rooms(
    conn: &mut dyn Conn,
    host: Option<MemberId>,
    page: Page<RoomId>,
) -> Result<Vec<Entry<RoomId>>, StoreError> {
    let (at, id) = page.key();
    let rows = if let Some(host) = host {
        let sql = "SELECT created_at, room_id FROM room_listing
            WHERE host_id = $1 AND (created_at, room_id) < ($2, $3)
            ORDER BY created_at DESC, room_id DESC LIMIT $4";
        let args = args![host.to_string(), at, id, page.size + 1];
        conn.query(sql, args).await?
    } else {
        let sql = "SELECT created_at, room_id FROM room_listing
            WHERE (created_at, room_id) < ($1, $2)
            ORDER BY created_at DESC, room_id DESC LIMIT $3";
        conn.query(sql, args![at, id, page.size + 1]).await?
    };
    rows.iter().map(entry).collect()
}

/// A page of the reviews of a room. Has one entry more than the page if there is a next page.
pub(crate) async fn reviews(
    conn: &mut dyn Conn,
    room: RoomId,
    page: Page<ReservationId>,
) -> Result<Vec<Entry<ReservationId>>, StoreError> {
    let (at, id) = page.key();
    let sql = "SELECT created_at, reservation_id FROM review_listing
        WHERE room_id = $1 AND (created_at, reservation_id) < ($2, $3)
        ORDER BY created_at DESC, reservation_id DESC LIMIT $4";
    let rows = conn
        .query(sql, args![room.to_string(), at, id, page.size + 1])
        .await?;
    rows.iter().map(entry).collect()
}

fn entry<Id: std::str::FromStr>(row: &Row) -> Result<Entry<Id>, StoreError> {
    let id = row.text(1)?.parse();
    let id = id.map_err(|_| bug("a listing has an invalid id"))?;
    Ok((row.time(0)?, id))
}

async fn list_room(
    conn: &mut dyn Conn,
    received: Received<RoomRegistered>,
) -> Result<(), StoreError> {
    let room = received.event.room.ok_or_else(|| bug("no room"))?;
    let args = args![room.room_id, room.host_id, received.at];
    conn.write(&ADD_ROOM, args).await
}

async fn unlist_room(
    conn: &mut dyn Conn,
    received: Received<RoomDeleted>,
) -> Result<(), StoreError> {
    conn.write(&REMOVE_ROOM, args![received.subject]).await
}

async fn list_review(
    conn: &mut dyn Conn,
    received: Received<ReviewCreated>,
) -> Result<(), StoreError> {
    let review = received.event.review.ok_or_else(|| bug("no review"))?;
    let args = args![review.reservation_id, review.room_id, received.at];
    conn.write(&ADD_REVIEW, args).await
}

async fn unlist_review(
    conn: &mut dyn Conn,
    received: Received<ReviewDeleted>,
) -> Result<(), StoreError> {
    conn.write(&REMOVE_REVIEW, args![received.subject]).await
}

fn bug(what: &str) -> StoreError {
    StoreError::Bug(what.into())
}

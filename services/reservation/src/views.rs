//! Read models: the list of reservations, and a replica of the offers for the time when their owners are unavailable.

use berth::{
    offer::v1::Offer,
    reservation::v1 as own,
    room::v1::{RoomDeleted, RoomModified, RoomRegistered},
};
use chassis::{
    MemberId, OfferId, Received, ReservationId, Store, StoreError, Views, args,
    base::time,
    store::{Conn, Migration, Row, Write},
};
use prost::Message;

use crate::codec::events::CarriesReservation;

/// The tables.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_reservation_list",
        sql: include_str!("../migrations/0001_reservation_list.sql"),
    },
    Migration {
        name: "0002_offer_replica",
        sql: include_str!("../migrations/0002_offer_replica.sql"),
    },
];

const PUT_RESERVATION: Write = Write::upsert(
    "reservation_list",
    "reservation_id, customer_id, host_id, offer_id, status, created_at",
    "$1, $2, $3, $4, $5, $6",
    &[1],
    "(reservation_id) DO UPDATE SET status = excluded.status",
);
const PUT_OFFER: Write = Write::upsert(
    "offer_replica",
    "offer_id, version, offer",
    "$1, $2, $3",
    &[1],
    "(offer_id) DO UPDATE SET version = excluded.version, offer = excluded.offer
     WHERE offer_replica.version < excluded.version",
);

/// The projections.
pub(crate) fn list() -> Views {
    Views::new()
        .on(keep_status::<own::ReservationRequested>)
        .on(keep_status::<own::ReservationApproved>)
        .on(keep_status::<own::ReservationPaymentPending>)
        .on(keep_status::<own::ReservationConfirmed>)
        .on(keep_status::<own::ReservationRejected>)
        .on(keep_status::<own::ReservationLapsed>)
        .on(keep_status::<own::ReservationCancelRequested>)
        .on(keep_status::<own::ReservationCancelled>)
        .on(keep_status::<own::ReservationCompleted>)
        .on(replicate_registered)
        .on(replicate_modified)
        .on(replicate_deleted)
}

async fn keep_status<E: CarriesReservation>(
    conn: &mut dyn Conn,
    received: Received<E>,
) -> Result<(), StoreError> {
    let shown = received
        .event
        .reservation()
        .ok_or_else(|| missing("reservation"))?;
    let created = shown.create_time.as_ref().and_then(time::from_proto);
    let values = args![
        &*received.subject,
        &*shown.customer_id,
        &*shown.host_id,
        &*shown.offer_id,
        shown.status,
        created.ok_or_else(|| missing("create_time"))?
    ];
    conn.write(&PUT_RESERVATION, values).await
}

async fn replicate_registered(
    conn: &mut dyn Conn,
    received: Received<RoomRegistered>,
) -> Result<(), StoreError> {
    replicate(conn, received.event.offer).await
}

async fn replicate_modified(
    conn: &mut dyn Conn,
    received: Received<RoomModified>,
) -> Result<(), StoreError> {
    replicate(conn, received.event.offer).await
}

async fn replicate_deleted(
    conn: &mut dyn Conn,
    received: Received<RoomDeleted>,
) -> Result<(), StoreError> {
    replicate(conn, received.event.offer).await
}

/// Keeps the newest terms of an offer.
async fn replicate(conn: &mut dyn Conn, offer: Option<Offer>) -> Result<(), StoreError> {
    let offer = offer.ok_or_else(|| missing("offer"))?;
    let values = args![&*offer.offer_id, offer.version, offer.encode_to_vec()];
    conn.write(&PUT_OFFER, values).await
}

fn missing(field: &str) -> StoreError {
    StoreError::Bug(format!("the event has no {field}"))
}

/// The newest offer that its owner has published, if any.
pub(crate) async fn offer(store: &Store, id: OfferId) -> Result<Option<Offer>, StoreError> {
    let rows = store
        .read(move |conn| {
            Box::pin(async move {
                let sql = "SELECT offer FROM offer_replica WHERE offer_id = $1";
                conn.query(sql, args![id.to_string()]).await
            })
        })
        .await?;
    let offer = rows
        .first()
        .map(|row| Offer::decode(row.blob(0)?).map_err(unreadable));
    offer.transpose()
}

/// The filter and the page of a list.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    /// Only those that this member made or received.
    pub(crate) of: Option<MemberId>,
    /// Only those of this offer.
    pub(crate) offer: Option<OfferId>,
    /// Only those with this status; 0 for all.
    pub(crate) status: i32,
    /// Only those before this position.
    pub(crate) before: Option<Position>,
    /// The page size.
    pub(crate) size: i64,
}

/// A position in the list: when the reservation was made, in microseconds, and its id.
pub(crate) type Position = (i64, ReservationId);

/// A page of reservations and one more if there is one, newest first.
pub(crate) async fn listed(store: &Store, listing: Listing) -> Result<Vec<Position>, StoreError> {
    let rows = store
        .read(move |conn| {
            Box::pin(async move {
                let page = |whose: &str| {
                    format!(
                        "SELECT created_at, reservation_id FROM reservation_list
                         WHERE {whose} AND (created_at, reservation_id) < ($1, $2)
                         AND ($3 = '' OR offer_id = $3) AND ($4 = 0 OR status = $4)
                         ORDER BY created_at DESC, reservation_id DESC LIMIT $5"
                    )
                };
                // Each side is read along its own index; a host who reserves their own room is on both.
                let sql = match listing.of {
                    None => page("$6 = ''"),
                    Some(_) => format!(
                        "SELECT * FROM (SELECT * FROM ({}) AS made UNION SELECT * FROM ({}) AS received) AS mine
                         ORDER BY created_at DESC, reservation_id DESC LIMIT $5",
                        page("customer_id = $6"),
                        page("host_id = $6")
                    ),
                };
                let (created, id) = listing
                    .before
                    .map_or((i64::MAX, String::new()), |(created, id)| (created, id.to_string()));
                let offer = listing.offer.map_or_else(String::new, |offer| offer.to_string());
                let of = listing.of.map_or_else(String::new, |of| of.to_string());
                let values = args![created, id, offer, listing.status, listing.size + 1, of];
                conn.query(&sql, values).await
            })
        })
        .await?;
    rows.iter().map(position).collect()
}

fn position(row: &Row) -> Result<Position, StoreError> {
    let id = row.text(1)?.parse();
    Ok((row.int(0)?, id.map_err(unreadable)?))
}

fn unreadable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Bug(format!("a read model cannot be read: {error}"))
}

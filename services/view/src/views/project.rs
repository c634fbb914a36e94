//! What each event means for the rows. `$1` is always the generation.
//!
//! A row may be written before the event that begins it has come from another context: it is then a stub, and not shown
//! until it has. Facts of different aggregates only meet in operations that do not mind their order: sums, and the
//! greatest of two.

use berth::{
    google::r#type::Money as ProtoMoney,
    message::v1::MessageSent,
    offer::v1::OfferKind,
    payment::v1::{Payment, PaymentApproved, PaymentCancelled, PaymentDeclined, PaymentDelayed},
    reservation::v1::{
        ConfirmationMissed, Reservation, ReservationApproved, ReservationCancelRequested,
        ReservationCancelled, ReservationCompleted, ReservationConfirmed, ReservationLapsed,
        ReservationLost, ReservationPaymentPending, ReservationRejected, ReservationRequested,
    },
    room::v1::{
        ReviewCreated, ReviewDeleted, ReviewModified, Room, RoomDeleted, RoomModified,
        RoomRegistered, RoomReleased, RoomReserved, RoomStatus,
    },
};
use chassis::{Money, Received, StoreError, Timestamp, args, base::time, store::Write};
use prost::Message;

use super::{Rows, generation_of_rows};

type Shown = Result<(), StoreError>;

/// SQL for the later of two times.
macro_rules! later {
    ($one:expr, $other:expr) => {
        concat!(
            "CASE WHEN ",
            $one,
            " > ",
            $other,
            " THEN ",
            $one,
            " ELSE ",
            $other,
            " END"
        )
    };
}

/// SQL for the last change of what a room's line shows: of the room, of its latest reservation, or of its payment.
macro_rules! latest {
    ($room:expr, $reservation:expr, $payment:expr) => {
        later!($room, concat!("(", later!($reservation, $payment), ")"))
    };
}

/// SQL for the value of a column of the reservation that was created last.
macro_rules! newer {
    ($column:expr) => {
        concat!(
            "CASE WHEN (room_view.reservation_created_at, room_view.reservation_id)
                 <= (excluded.reservation_created_at, excluded.reservation_id)
             THEN excluded.",
            $column,
            " ELSE room_view.",
            $column,
            " END"
        )
    };
}

/// SQL that sets the times of a change of the room.
macro_rules! room_changed {
    () => {
        concat!(
            "room_at = ",
            later!("room_view.room_at", "excluded.room_at"),
            ", updated_at = ",
            latest!(
                later!("room_view.room_at", "excluded.room_at"),
                "room_view.reservation_at",
                "room_view.payment_at"
            )
        )
    };
}

const PUT_ROOM: Write = Write::upsert(
    "room_view",
    "generation, room_id, host_id, title, description, unit, currency, price, room_status, room_at, updated_at",
    concat!(
        generation_of_rows!(),
        ", $2, $3, $4, $5, $6, $7, $8, $9, $10, $10"
    ),
    &[2],
    concat!(
        "(generation, room_id) DO UPDATE SET host_id = excluded.host_id, title = excluded.title,
         description = excluded.description, unit = excluded.unit, currency = excluded.currency,
         price = excluded.price, room_status = excluded.room_status, ",
        room_changed!()
    ),
);

const PUT_ROOM_STATUS: Write = Write::upsert(
    "room_view",
    "generation, room_id, room_status, room_at, updated_at",
    concat!(generation_of_rows!(), ", $2, $3, $4, $4"),
    &[2],
    concat!(
        "(generation, room_id) DO UPDATE SET room_status = excluded.room_status, ",
        room_changed!()
    ),
);

const RATING: &str = concat!(
    "SELECT rating FROM review WHERE generation = ",
    generation_of_rows!(),
    " AND reservation_id = $2"
);

const PUT_REVIEW: Write = Write::upsert(
    "review",
    "generation, reservation_id, room_id, rating, changed_at",
    concat!(generation_of_rows!(), ", $2, $3, $4, $5"),
    &[2],
    "(generation, reservation_id) DO UPDATE SET rating = excluded.rating, changed_at = excluded.changed_at",
);

const ADD_RATING: Write = Write::upsert(
    "room_view",
    "generation, room_id, review_count, rating_sum, room_at, updated_at",
    concat!(generation_of_rows!(), ", $2, $3, $4, $5, $5"),
    &[2],
    concat!(
        "(generation, room_id) DO UPDATE SET
         review_count = room_view.review_count + excluded.review_count,
         rating_sum = room_view.rating_sum + excluded.rating_sum, ",
        room_changed!()
    ),
);

const PUT_RESERVATION: Write = Write::upsert(
    "reservation",
    "generation, reservation_id, customer_id, offer_id, title, period, currency, price, status, reason, created_at, changed_at",
    concat!(
        generation_of_rows!(),
        ", $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12"
    ),
    &[2],
    "(generation, reservation_id) DO UPDATE SET title = excluded.title, period = excluded.period,
     currency = excluded.currency, price = excluded.price, status = excluded.status, reason = excluded.reason,
     changed_at = excluded.changed_at",
);

const PUT_LOST_RESERVATION: Write = Write::upsert(
    "reservation",
    "generation, reservation_id, customer_id, offer_id, title, period, currency, price, status, reason, created_at, changed_at",
    concat!(
        generation_of_rows!(),
        ", $2, $3, '', '', $4, $5, $6, $7, $8, $9, $9"
    ),
    &[2],
    "(generation, reservation_id) DO UPDATE SET status = excluded.status, reason = excluded.reason,
     changed_at = excluded.changed_at",
);

const PUT_RESERVATION_OF_ROOM: Write = Write::upsert(
    "room_view",
    "generation, room_id, reservation_count, reservation_id, customer_id, reservation_created_at, reservation_status,
     reservation_at, payment_status, payment_at, updated_at",
    concat!(
        generation_of_rows!(),
        ", $2, $3, $4, $5, $6, $7, $8,
         COALESCE((SELECT p.status FROM payment p WHERE p.generation = ",
        generation_of_rows!(),
        " AND p.reservation_id = $4), 0),
         COALESCE((SELECT p.changed_at FROM payment p WHERE p.generation = ",
        generation_of_rows!(),
        " AND p.reservation_id = $4), 0), $8"
    ),
    &[2],
    concat!(
        "(generation, room_id) DO UPDATE
         SET reservation_count = room_view.reservation_count + excluded.reservation_count,
             reservation_id = ",
        newer!("reservation_id"),
        ", customer_id = ",
        newer!("customer_id"),
        ", reservation_created_at = ",
        newer!("reservation_created_at"),
        ", reservation_status = ",
        newer!("reservation_status"),
        ", reservation_at = ",
        newer!("reservation_at"),
        ", payment_status = ",
        newer!("payment_status"),
        ", payment_at = ",
        newer!("payment_at"),
        ", updated_at = ",
        latest!(
            "room_view.room_at",
            newer!("reservation_at"),
            newer!("payment_at")
        )
    ),
)
.reading(&["payment"]);

const PUT_PAYMENT: Write = Write::upsert(
    "payment",
    "generation, reservation_id, status, currency, refund, changed_at",
    concat!(generation_of_rows!(), ", $2, $3, $4, $5, $6"),
    &[2],
    "(generation, reservation_id) DO UPDATE SET status = excluded.status, currency = excluded.currency,
     refund = excluded.refund, changed_at = excluded.changed_at",
);

const PUT_PAYMENT_OF_ROOM: Write = Write::statement(
    "room_view",
    concat!(
        "UPDATE room_view SET payment_status = $3, payment_at = $4, updated_at = ",
        latest!("room_at", "reservation_at", "$4"),
        " WHERE generation = ",
        generation_of_rows!(),
        " AND reservation_id = $2
         AND room_id = (SELECT offer_id FROM reservation WHERE generation = ",
        generation_of_rows!(),
        " AND reservation_id = $2)"
    ),
)
.reading(&["reservation"]);

const COUNT_MESSAGE: Write = Write::upsert(
    "told",
    "generation, reservation_id, recipient_id, times, changed_at",
    concat!(generation_of_rows!(), ", $2, $3, 1, $4"),
    &[2, 3],
    concat!(
        "(generation, reservation_id, recipient_id) DO UPDATE SET times = told.times + 1, changed_at = ",
        later!("told.changed_at", "excluded.changed_at")
    ),
);

pub(super) async fn room_registered(mut rows: Rows<'_>, heard: Received<RoomRegistered>) -> Shown {
    let room = given(heard.event.room)?;
    // What has been registered is there, whatever its status.
    let status = room.status().max(RoomStatus::Available);
    rows.put_room(&room, status, heard.at).await
}

pub(super) async fn room_modified(mut rows: Rows<'_>, heard: Received<RoomModified>) -> Shown {
    let room = given(heard.event.room)?;
    let status = room.status().max(RoomStatus::Available);
    rows.put_room(&room, status, heard.at).await
}

pub(super) async fn room_deleted(mut rows: Rows<'_>, heard: Received<RoomDeleted>) -> Shown {
    let room = given(heard.event.room)?;
    rows.put_room(&room, RoomStatus::Deleted, heard.at).await
}

pub(super) async fn room_reserved(mut rows: Rows<'_>, heard: Received<RoomReserved>) -> Shown {
    let RoomReserved {
        room_id, status, ..
    } = heard.event;
    rows.put_room_status(&room_id, status, heard.at).await
}

pub(super) async fn room_released(mut rows: Rows<'_>, heard: Received<RoomReleased>) -> Shown {
    let RoomReleased {
        room_id, status, ..
    } = heard.event;
    rows.put_room_status(&room_id, status, heard.at).await
}

pub(super) async fn review_created(mut rows: Rows<'_>, heard: Received<ReviewCreated>) -> Shown {
    let review = given(heard.event.review)?;
    rows.put_review(
        (&review.reservation_id, &review.room_id),
        review.rating,
        heard.at,
    )
    .await
}

pub(super) async fn review_modified(mut rows: Rows<'_>, heard: Received<ReviewModified>) -> Shown {
    let review = given(heard.event.review)?;
    rows.put_review(
        (&review.reservation_id, &review.room_id),
        review.rating,
        heard.at,
    )
    .await
}

pub(super) async fn review_deleted(mut rows: Rows<'_>, heard: Received<ReviewDeleted>) -> Shown {
    let ReviewDeleted {
        reservation_id,
        room_id,
        ..
    } = heard.event;
    rows.put_review((&reservation_id, &room_id), 0, heard.at)
        .await
}

pub(super) async fn reservation_requested(
    mut rows: Rows<'_>,
    heard: Received<ReservationRequested>,
) -> Shown {
    let reservation = given(heard.event.reservation)?;
    rows.put_reservation(&reservation, heard.version, heard.at)
        .await
}

pub(super) async fn reservation_approved(
    mut rows: Rows<'_>,
    heard: Received<ReservationApproved>,
) -> Shown {
    let reservation = given(heard.event.reservation)?;
    rows.put_reservation(&reservation, heard.version, heard.at)
        .await
}

pub(super) async fn reservation_payment_pending(
    mut rows: Rows<'_>,
    heard: Received<ReservationPaymentPending>,
) -> Shown {
    let reservation = given(heard.event.reservation)?;
    rows.put_reservation(&reservation, heard.version, heard.at)
        .await
}

pub(super) async fn reservation_confirmed(
    mut rows: Rows<'_>,
    heard: Received<ReservationConfirmed>,
) -> Shown {
    let reservation = given(heard.event.reservation)?;
    rows.put_reservation(&reservation, heard.version, heard.at)
        .await
}

pub(super) async fn reservation_rejected(
    mut rows: Rows<'_>,
    heard: Received<ReservationRejected>,
) -> Shown {
    let reservation = given(heard.event.reservation)?;
    rows.put_reservation(&reservation, heard.version, heard.at)
        .await
}

pub(super) async fn reservation_lapsed(
    mut rows: Rows<'_>,
    heard: Received<ReservationLapsed>,
) -> Shown {
    let reservation = given(heard.event.reservation)?;
    rows.put_reservation(&reservation, heard.version, heard.at)
        .await
}

pub(super) async fn reservation_cancel_requested(
    mut rows: Rows<'_>,
    heard: Received<ReservationCancelRequested>,
) -> Shown {
    let reservation = given(heard.event.reservation)?;
    rows.put_reservation(&reservation, heard.version, heard.at)
        .await
}

pub(super) async fn reservation_cancelled(
    mut rows: Rows<'_>,
    heard: Received<ReservationCancelled>,
) -> Shown {
    let reservation = given(heard.event.reservation)?;
    rows.put_reservation(&reservation, heard.version, heard.at)
        .await
}

pub(super) async fn reservation_completed(
    mut rows: Rows<'_>,
    heard: Received<ReservationCompleted>,
) -> Shown {
    let reservation = given(heard.event.reservation)?;
    rows.put_reservation(&reservation, heard.version, heard.at)
        .await
}

pub(super) async fn confirmation_missed(
    mut rows: Rows<'_>,
    heard: Received<ConfirmationMissed>,
) -> Shown {
    let reservation = given(heard.event.reservation)?;
    rows.put_reservation(&reservation, heard.version, heard.at)
        .await
}

/// What is known of it is little; what was shown before stays beside that.
pub(super) async fn reservation_lost(
    mut rows: Rows<'_>,
    heard: Received<ReservationLost>,
) -> Shown {
    let reservation = given(heard.event.reservation)?;
    let price = money(given(reservation.price.as_ref())?)?;
    let values = args![
        &*reservation.reservation_id,
        &*reservation.customer_id,
        Vec::<u8>::new(),
        price.currency.code(),
        price.minor,
        reservation.status,
        &*reservation.reason,
        heard.at
    ];
    rows.run(&PUT_LOST_RESERVATION, values).await
}

pub(super) async fn payment_delayed(mut rows: Rows<'_>, heard: Received<PaymentDelayed>) -> Shown {
    let payment = given(heard.event.payment)?;
    rows.put_payment(&payment, None, heard.at).await
}

pub(super) async fn payment_approved(
    mut rows: Rows<'_>,
    heard: Received<PaymentApproved>,
) -> Shown {
    let payment = given(heard.event.payment)?;
    rows.put_payment(&payment, None, heard.at).await
}

pub(super) async fn payment_declined(
    mut rows: Rows<'_>,
    heard: Received<PaymentDeclined>,
) -> Shown {
    let payment = given(heard.event.payment)?;
    rows.put_payment(&payment, None, heard.at).await
}

pub(super) async fn payment_cancelled(
    mut rows: Rows<'_>,
    heard: Received<PaymentCancelled>,
) -> Shown {
    let payment = given(heard.event.payment)?;
    rows.put_payment(&payment, payment.refunded.as_ref(), heard.at)
        .await
}

pub(super) async fn message_sent(mut rows: Rows<'_>, heard: Received<MessageSent>) -> Shown {
    let message = given(heard.event.message)?;
    let values = args![message.reservation_id, message.recipient_id, heard.at];
    rows.run(&COUNT_MESSAGE, values).await
}

impl Rows<'_> {
    async fn put_room(&mut self, room: &Room, status: RoomStatus, at: Timestamp) -> Shown {
        let price = given(room.price.as_ref())?;
        let values = args![
            &*room.room_id,
            &*room.host_id,
            &*room.title,
            &*room.description,
            room.unit,
            &*price.currency_code,
            nanos(price)?,
            i32::from(status),
            at
        ];
        self.run(&PUT_ROOM, values).await
    }

    async fn put_room_status(&mut self, room_id: &str, status: i32, at: Timestamp) -> Shown {
        self.run(&PUT_ROOM_STATUS, args![room_id, status, at]).await
    }

    /// Notes a review's rating; 0 if it is no more.
    async fn put_review(
        &mut self,
        (id, room_id): (&str, &str),
        rating: i32,
        at: Timestamp,
    ) -> Shown {
        let before = self.find(RATING, args![id]).await?;
        let before = before.map_or(Ok(0), |row| row.int(0))?;
        let rating = i64::from(rating);
        self.run(&PUT_REVIEW, args![id, room_id, rating, at])
            .await?;
        let more = i64::from(rating > 0) - i64::from(before > 0);
        let values = args![room_id, more, rating - before, at];
        self.run(&ADD_RATING, values).await
    }

    async fn put_reservation(
        &mut self,
        reservation: &Reservation,
        version: i64,
        at: Timestamp,
    ) -> Shown {
        let price = money(given(reservation.price.as_ref())?)?;
        let created = reservation.create_time.as_ref();
        let created = given(created.and_then(time::from_proto))?;
        let period = reservation.period.as_ref();
        let values = args![
            &*reservation.reservation_id,
            &*reservation.customer_id,
            &*reservation.offer_id,
            &*reservation.title,
            period.map(Message::encode_to_vec).unwrap_or_default(),
            price.currency.code(),
            price.minor,
            reservation.status,
            &*reservation.reason,
            created,
            at
        ];
        self.run(&PUT_RESERVATION, values).await?;
        if reservation.kind() == OfferKind::Room {
            let is_first = version == 1;
            self.put_room_reservation(reservation, is_first, created, at)
                .await?;
        }
        Ok(())
    }

    /// Notes a reservation of a room with the room. It is counted by its first event. The latest is the one with the
    /// greatest creation time and id, whenever we hear of it.
    async fn put_room_reservation(
        &mut self,
        reservation: &Reservation,
        is_first: bool,
        created: Timestamp,
        at: Timestamp,
    ) -> Shown {
        let values = args![
            &*reservation.offer_id,
            is_first,
            &*reservation.reservation_id,
            &*reservation.customer_id,
            created,
            reservation.status,
            at
        ];
        self.run(&PUT_RESERVATION_OF_ROOM, values).await
    }

    /// Notes how far a payment has come, and all that was refunded if anything was.
    async fn put_payment(
        &mut self,
        payment: &Payment,
        refunded: Option<&ProtoMoney>,
        at: Timestamp,
    ) -> Shown {
        let id = &*payment.reservation_id;
        let refund = refunded.map(money).transpose()?;
        let values = args![
            id,
            payment.status,
            refund.map_or("", |refund| refund.currency.code()),
            refund.map_or(0, |refund| refund.minor),
            at
        ];
        self.run(&PUT_PAYMENT, values).await?;
        self.run(&PUT_PAYMENT_OF_ROOM, args![id, payment.status, at])
            .await
    }
}

/// What every event of its kind has.
fn given<T>(value: Option<T>) -> Result<T, StoreError> {
    value.ok_or_else(|| malformed("something is missing"))
}

fn money(money: &ProtoMoney) -> Result<Money, StoreError> {
    Money::try_from(money).map_err(malformed)
}

/// An amount in billionths, to be sorted whatever the currency.
fn nanos(money: &ProtoMoney) -> Result<i64, StoreError> {
    let units = money.units.checked_mul(1_000_000_000);
    units
        .and_then(|units| units.checked_add(money.nanos.into()))
        .ok_or_else(|| malformed("too much money"))
}

/// Not the store's fault; the event ends among the dead letters.
fn malformed(what: impl std::fmt::Display) -> StoreError {
    StoreError::Bug(format!("malformed event: {what}"))
}

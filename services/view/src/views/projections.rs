//! What each event writes. `$1` is always the generation.
//!
//! Events of different contexts arrive in any order. So a row may be written before the event that begins it: it is
//! then incomplete, and no query returns it. Facts of different aggregates are combined only by operations that do not
//! depend on the order: sums and maxima.

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
        Review, ReviewCreated, ReviewDeleted, ReviewModified, Room, RoomDeleted, RoomModified,
        RoomRegistered, RoomReleased, RoomReserved, RoomStatus,
    },
};
use chassis::{Money, Received, StoreError, Timestamp, args, base::time};
use prost::Message;

use super::{
    rows::Rows,
    writes::{
        ADD_RATING, COUNT_MESSAGE, PUT_LOST_RESERVATION, PUT_PAYMENT, PUT_PAYMENT_OF_ROOM,
        PUT_RESERVATION, PUT_RESERVATION_OF_ROOM, PUT_REVIEW, PUT_ROOM, PUT_ROOM_STATUS, RATING,
    },
};

type Written = Result<(), StoreError>;

/// An event that carries the state `S` of its aggregate and means nothing beyond it to the views.
pub(super) trait Carries<S> {
    fn state(self) -> Option<S>;
}

macro_rules! carries {
    ($state:ty as $field:ident: $($event:ty),+ $(,)?) => {$(
        impl Carries<$state> for $event {
            fn state(self) -> Option<$state> {
                self.$field
            }
        }
    )+};
}

carries!(Room as room: RoomRegistered, RoomModified);
carries!(Review as review: ReviewCreated, ReviewModified);
carries!(Payment as payment: PaymentDelayed, PaymentApproved, PaymentDeclined);
carries!(
    Reservation as reservation: ReservationRequested,
    ReservationApproved,
    ReservationPaymentPending,
    ReservationConfirmed,
    ReservationRejected,
    ReservationLapsed,
    ReservationCancelRequested,
    ReservationCancelled,
    ReservationCompleted,
    ConfirmationMissed,
);

pub(super) async fn room<E: Carries<Room>>(mut rows: Rows<'_>, received: Received<E>) -> Written {
    let room = required(received.event.state())?;
    // A registered room is at least available: status 0 is for rooms of which no such event was received.
    let status = room.status().max(RoomStatus::Available);
    rows.put_room(&room, status, received.at).await
}

pub(super) async fn room_deleted(mut rows: Rows<'_>, received: Received<RoomDeleted>) -> Written {
    let room = required(received.event.room)?;
    rows.put_room(&room, RoomStatus::Deleted, received.at).await
}

pub(super) async fn room_reserved(mut rows: Rows<'_>, received: Received<RoomReserved>) -> Written {
    let RoomReserved {
        room_id, status, ..
    } = received.event;
    rows.put_room_status(&room_id, status, received.at).await
}

pub(super) async fn room_released(mut rows: Rows<'_>, received: Received<RoomReleased>) -> Written {
    let RoomReleased {
        room_id, status, ..
    } = received.event;
    rows.put_room_status(&room_id, status, received.at).await
}

pub(super) async fn review<E: Carries<Review>>(
    mut rows: Rows<'_>,
    received: Received<E>,
) -> Written {
    let review = required(received.event.state())?;
    let ids = (&*review.reservation_id, &*review.room_id);
    rows.put_review(ids, review.rating, received.at).await
}

pub(super) async fn review_deleted(
    mut rows: Rows<'_>,
    received: Received<ReviewDeleted>,
) -> Written {
    let deleted = received.event;
    let ids = (&*deleted.reservation_id, &*deleted.room_id);
    rows.put_review(ids, 0, received.at).await
}

pub(super) async fn reservation<E: Carries<Reservation>>(
    mut rows: Rows<'_>,
    received: Received<E>,
) -> Written {
    let reservation = required(received.event.state())?;
    rows.put_reservation(&reservation, received.version, received.at)
        .await
}

/// The event has few fields of the reservation. The other columns keep their values.
pub(super) async fn reservation_lost(
    mut rows: Rows<'_>,
    received: Received<ReservationLost>,
) -> Written {
    let reservation = required(received.event.reservation)?;
    let price = money(required(reservation.price.as_ref())?)?;
    let values = args![
        &*reservation.reservation_id,
        &*reservation.customer_id,
        Vec::<u8>::new(),
        price.currency.code(),
        price.minor,
        reservation.status,
        &*reservation.reason,
        received.at
    ];
    rows.run(&PUT_LOST_RESERVATION, values).await
}

pub(super) async fn payment<E: Carries<Payment>>(
    mut rows: Rows<'_>,
    received: Received<E>,
) -> Written {
    let payment = required(received.event.state())?;
    rows.put_payment(&payment, None, received.at).await
}

pub(super) async fn payment_cancelled(
    mut rows: Rows<'_>,
    received: Received<PaymentCancelled>,
) -> Written {
    let payment = required(received.event.payment)?;
    rows.put_payment(&payment, payment.refunded.as_ref(), received.at)
        .await
}

/// The table `notified` counts the messages about a reservation to each recipient.
pub(super) async fn message_sent(mut rows: Rows<'_>, received: Received<MessageSent>) -> Written {
    let message = required(received.event.message)?;
    let values = args![message.reservation_id, message.recipient_id, received.at];
    rows.run(&COUNT_MESSAGE, values).await
}

impl Rows<'_> {
    async fn put_room(&mut self, room: &Room, status: RoomStatus, at: Timestamp) -> Written {
        let price = required(room.price.as_ref())?;
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

    async fn put_room_status(&mut self, room_id: &str, status: i32, at: Timestamp) -> Written {
        self.run(&PUT_ROOM_STATUS, args![room_id, status, at]).await
    }

    /// Writes the rating of a review, 0 if it is deleted, and adds the difference to its room.
    async fn put_review(
        &mut self,
        (id, room_id): (&str, &str),
        rating: i32,
        at: Timestamp,
    ) -> Written {
        let before = self.find(RATING, args![id]).await?;
        let before = before.map_or(Ok(0), |row| row.int(0))?;
        let rating = i64::from(rating);
        self.run(&PUT_REVIEW, args![id, room_id, rating, at])
            .await?;
        let count_change = i64::from(rating > 0) - i64::from(before > 0);
        let values = args![room_id, count_change, rating - before, at];
        self.run(&ADD_RATING, values).await
    }

    async fn put_reservation(
        &mut self,
        reservation: &Reservation,
        version: i64,
        at: Timestamp,
    ) -> Written {
        let price = money(required(reservation.price.as_ref())?)?;
        let created = reservation.create_time.as_ref();
        let created = required(created.and_then(time::from_proto))?;
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

    /// Writes a reservation to the row of its room. Its first event adds 1 to the count. The row shows the latest
    /// reservation, which is the one with the greatest creation time and id, in whatever order the events arrive.
    async fn put_room_reservation(
        &mut self,
        reservation: &Reservation,
        is_first: bool,
        created: Timestamp,
        at: Timestamp,
    ) -> Written {
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

    /// Writes the status of a payment and the amount refunded so far.
    async fn put_payment(
        &mut self,
        payment: &Payment,
        refunded: Option<&ProtoMoney>,
        at: Timestamp,
    ) -> Written {
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

/// A field that every event of its type has.
fn required<T>(value: Option<T>) -> Result<T, StoreError> {
    value.ok_or_else(|| malformed("a required field is missing"))
}

fn money(money: &ProtoMoney) -> Result<Money, StoreError> {
    Money::try_from(money).map_err(malformed)
}

/// An amount in billionths of the major unit, which can be sorted without regard to the currency.
fn nanos(money: &ProtoMoney) -> Result<i64, StoreError> {
    let units = money.units.checked_mul(1_000_000_000);
    units
        .and_then(|units| units.checked_add(money.nanos.into()))
        .ok_or_else(|| malformed("the amount is too large"))
}

/// The event breaks its contract. It becomes a dead letter.
fn malformed(what: impl std::fmt::Display) -> StoreError {
    StoreError::Bug(format!("malformed event: {what}"))
}

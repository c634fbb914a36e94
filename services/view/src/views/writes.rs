//! The writes of the projections. `$1` is always the generation, null for the live one.

use chassis::store::Write;

/// SQL for the generation `$1`, or for the live one if it is null. The live generation cannot change before the
/// transaction ends: a rebuild must hold the cursors of the live views to change it.
macro_rules! generation_of_rows {
    () => {
        "COALESCE($1, (SELECT live FROM view_generation WHERE id = 1))"
    };
}

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

pub(super) const PUT_ROOM: Write = Write::upsert(
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

pub(super) const PUT_ROOM_STATUS: Write = Write::upsert(
    "room_view",
    "generation, room_id, room_status, room_at, updated_at",
    concat!(generation_of_rows!(), ", $2, $3, $4, $4"),
    &[2],
    concat!(
        "(generation, room_id) DO UPDATE SET room_status = excluded.room_status, ",
        room_changed!()
    ),
);

pub(super) const RATING: &str = concat!(
    "SELECT rating FROM review WHERE generation = ",
    generation_of_rows!(),
    " AND reservation_id = $2"
);

pub(super) const PUT_REVIEW: Write = Write::upsert(
    "review",
    "generation, reservation_id, room_id, rating, changed_at",
    concat!(generation_of_rows!(), ", $2, $3, $4, $5"),
    &[2],
    "(generation, reservation_id) DO UPDATE SET rating = excluded.rating, changed_at = excluded.changed_at",
);

pub(super) const ADD_RATING: Write = Write::upsert(
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

pub(super) const PUT_RESERVATION: Write = Write::upsert(
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

pub(super) const PUT_LOST_RESERVATION: Write = Write::upsert(
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

pub(super) const PUT_RESERVATION_OF_ROOM: Write = Write::upsert(
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

pub(super) const PUT_PAYMENT: Write = Write::upsert(
    "payment",
    "generation, reservation_id, status, currency, refund, changed_at",
    concat!(generation_of_rows!(), ", $2, $3, $4, $5, $6"),
    &[2],
    "(generation, reservation_id) DO UPDATE SET status = excluded.status, currency = excluded.currency,
     refund = excluded.refund, changed_at = excluded.changed_at",
);

pub(super) const PUT_PAYMENT_OF_ROOM: Write = Write::statement(
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

pub(super) const COUNT_MESSAGE: Write = Write::upsert(
    "notified",
    "generation, reservation_id, recipient_id, times, changed_at",
    concat!(generation_of_rows!(), ", $2, $3, 1, $4"),
    &[2, 3],
    concat!(
        "(generation, reservation_id, recipient_id) DO UPDATE SET times = notified.times + 1, changed_at = ",
        later!("notified.changed_at", "excluded.changed_at")
    ),
);

//! The read models: projections, queries, generations.
//!
//! Every row belongs to a generation. Queries read the live generation. A rebuild writes a new generation beside it and
//! then makes that one live.

pub(crate) mod generation;
mod projections;
pub(crate) mod queries;

use berth::{
    payment::v1::{PaymentApproved, PaymentDeclined, PaymentDelayed},
    reservation::v1::{
        ConfirmationMissed, ReservationApproved, ReservationCancelRequested, ReservationCancelled,
        ReservationCompleted, ReservationConfirmed, ReservationLapsed, ReservationPaymentPending,
        ReservationRejected, ReservationRequested,
    },
    room::v1::{ReviewCreated, ReviewModified, RoomModified, RoomRegistered},
};
use chassis::{
    Received, StoreError, Views, args,
    store::{Conn, Migration, Row, Value, projections::Projection},
};
use futures::{FutureExt, future::BoxFuture};

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_views",
    sql: include_str!("../../migrations/0001_views.sql"),
}];

/// The generation that a projection writes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// The generation that is live when the statement runs.
    Live,
    /// A generation that is being built.
    Generation(i64),
}

/// The projections, writing to a target.
pub(crate) fn list(target: Target) -> Views {
    use projections::{
        message_sent, payment, payment_cancelled, reservation, reservation_lost, review,
        review_deleted, room, room_deleted, room_released, room_reserved,
    };
    Views::new()
        .on(Into(target, room::<RoomRegistered>))
        .on(Into(target, room::<RoomModified>))
        .on(Into(target, room_deleted))
        .on(Into(target, room_reserved))
        .on(Into(target, room_released))
        .on(Into(target, review::<ReviewCreated>))
        .on(Into(target, review::<ReviewModified>))
        .on(Into(target, review_deleted))
        .on(Into(target, reservation::<ReservationRequested>))
        .on(Into(target, reservation::<ReservationApproved>))
        .on(Into(target, reservation::<ReservationPaymentPending>))
        .on(Into(target, reservation::<ReservationConfirmed>))
        .on(Into(target, reservation::<ReservationRejected>))
        .on(Into(target, reservation::<ReservationLapsed>))
        .on(Into(target, reservation::<ReservationCancelRequested>))
        .on(Into(target, reservation::<ReservationCancelled>))
        .on(Into(target, reservation::<ReservationCompleted>))
        .on(Into(target, reservation::<ConfirmationMissed>))
        .on(Into(target, reservation_lost))
        .on(Into(target, payment::<PaymentDelayed>))
        .on(Into(target, payment::<PaymentApproved>))
        .on(Into(target, payment::<PaymentDeclined>))
        .on(Into(target, payment_cancelled))
        .on(Into(target, message_sent))
}

/// Writes the rows of one target.
pub(crate) struct Rows<'c> {
    conn: &'c mut dyn Conn,
    target: Target,
}

impl Rows<'_> {
    /// Runs a statement whose `$1` is the generation.
    async fn run(&mut self, sql: &str, values: Vec<Value>) -> Result<(), StoreError> {
        let (sql, values) = self.with_generation(sql, values);
        self.conn.write(&sql, values).await
    }

    /// The first row of a query whose `$1` is the generation.
    async fn find(&mut self, sql: &str, values: Vec<Value>) -> Result<Option<Row>, StoreError> {
        let (sql, values) = self.with_generation(sql, values);
        let rows = self.conn.query(&sql, values).await?;
        Ok(rows.into_iter().next())
    }

    /// Adds the generation to a statement. The live one is looked up by the statement itself, which saves a round trip.
    /// It cannot change before the transaction ends: a rebuild must hold the cursors of the live views to change it.
    fn with_generation(&self, sql: &str, values: Vec<Value>) -> (String, Vec<Value>) {
        let (sql, generation) = match self.target {
            Target::Live => (with_live_generation(sql), None),
            Target::Generation(generation) => (sql.to_owned(), Some(generation)),
        };
        let mut all = args![generation];
        all.extend(values);
        (sql, all)
    }
}

/// Replaces `$1` by an expression for the live generation. `$10` and the like stay.
fn with_live_generation(sql: &str) -> String {
    const LIVE: &str = "COALESCE($1, (SELECT live FROM view_generation WHERE id = 1))";
    let mut parts = sql.split("$1");
    let mut live = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_longer = part.starts_with(|c: char| c.is_ascii_digit());
        live.push_str(if is_longer { "$1" } else { LIVE });
        live.push_str(part);
    }
    live
}

/// A projection that writes to a target.
#[derive(Clone, Copy)]
struct Into<P>(Target, P);

impl<'c, E, P, Shown> Projection<'c, E> for Into<P>
where
    E: Send + 'static,
    P: Fn(Rows<'c>, Received<E>) -> Shown + Copy + Send + Sync + 'static,
    Shown: Future<Output = Result<(), StoreError>> + Send + 'c,
{
    type Shown = BoxFuture<'c, Result<(), StoreError>>;

    fn show(&self, conn: &'c mut dyn Conn, received: Received<E>) -> Self::Shown {
        let Self(target, project) = *self;
        project(Rows { conn, target }, received).boxed()
    }
}

//! The read models: projections, queries, generations.
//!
//! Every row belongs to a generation. Queries read the live generation. A rebuild writes a new generation beside it and
//! then makes that one live.

pub(crate) mod generation;
mod projections;
pub(crate) mod queries;
mod writes;

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
    store::{Conn, Migration, Row, Value, Write, projections::Projection},
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
    /// Executes a write whose `$1` is the generation.
    async fn run(&mut self, write: &'static Write, values: Vec<Value>) -> Result<(), StoreError> {
        let values = self.with_generation(values);
        self.conn.write(write, values).await
    }

    /// The first row of a query whose `$1` is the generation.
    async fn find(&mut self, sql: &str, values: Vec<Value>) -> Result<Option<Row>, StoreError> {
        let values = self.with_generation(values);
        let rows = self.conn.query(sql, values).await?;
        Ok(rows.into_iter().next())
    }

    /// Arguments that begin with the generation. It is null for the live one, which the statement itself looks up: that
    /// saves a round trip.
    fn with_generation(&self, values: Vec<Value>) -> Vec<Value> {
        let mut all = match self.target {
            Target::Live => args![None::<i64>],
            Target::Generation(generation) => args![generation],
        };
        all.extend(values);
        all
    }
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

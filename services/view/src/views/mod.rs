//! The read models: projections, queries, and generations of rows.
//!
//! Every row belongs to a generation. One is live and shown; a rebuild writes another one beside it and then makes it live.

pub(crate) mod generation;
mod project;
pub(crate) mod query;

use chassis::{
    Received, StoreError, Views, args,
    store::{Conn, Migration, Row, Value, Write, projections::Projection},
};
use futures::{FutureExt, future::BoxFuture};

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_views",
    sql: include_str!("../../migrations/0001_views.sql"),
}];

/// Which generation a projection writes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// The one that is live at the time.
    Live,
    /// One that is being built.
    Generation(i64),
}

/// The projections, into a generation.
pub(crate) fn list(target: Target) -> Views {
    Views::new()
        .on(Into(target, project::room_registered))
        .on(Into(target, project::room_modified))
        .on(Into(target, project::room_deleted))
        .on(Into(target, project::room_reserved))
        .on(Into(target, project::room_released))
        .on(Into(target, project::review_created))
        .on(Into(target, project::review_modified))
        .on(Into(target, project::review_deleted))
        .on(Into(target, project::reservation_requested))
        .on(Into(target, project::reservation_approved))
        .on(Into(target, project::reservation_payment_pending))
        .on(Into(target, project::reservation_confirmed))
        .on(Into(target, project::reservation_rejected))
        .on(Into(target, project::reservation_lapsed))
        .on(Into(target, project::reservation_cancel_requested))
        .on(Into(target, project::reservation_cancelled))
        .on(Into(target, project::reservation_completed))
        .on(Into(target, project::confirmation_missed))
        .on(Into(target, project::reservation_lost))
        .on(Into(target, project::payment_delayed))
        .on(Into(target, project::payment_approved))
        .on(Into(target, project::payment_declined))
        .on(Into(target, project::payment_cancelled))
        .on(Into(target, project::message_sent))
}

/// The rows of one generation, to be written.
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

    /// The arguments of a statement after its generation: null stands for the live one, see [`generation_of_rows`].
    fn with_generation(&self, values: Vec<Value>) -> Vec<Value> {
        let mut all = match self.target {
            Target::Live => args![None::<i64>],
            Target::Generation(generation) => args![generation],
        };
        all.extend(values);
        all
    }
}

/// SQL for the generation `$1`, or for the live one if it is null. The live generation cannot change before the
/// transaction ends: a change removes the cursors of the live views.
macro_rules! generation_of_rows {
    () => {
        "COALESCE($1, (SELECT live FROM view_generation WHERE id = 1))"
    };
}
use generation_of_rows;

/// A projection into the rows of a target.
#[derive(Clone, Copy)]
struct Into<P>(Target, P);

impl<'c, E, P, Shown> Projection<'c, E> for Into<P>
where
    E: Send + 'static,
    P: Fn(Rows<'c>, Received<E>) -> Shown + Copy + Send + Sync + 'static,
    Shown: Future<Output = Result<(), StoreError>> + Send + 'c,
{
    type Shown = BoxFuture<'c, Result<(), StoreError>>;

    fn show(&self, conn: &'c mut dyn Conn, heard: Received<E>) -> Self::Shown {
        let Self(target, project) = *self;
        project(Rows { conn, target }, heard).boxed()
    }
}

//! Projections: how the read models of a context change with an event.

use std::{any::type_name, fmt, panic::AssertUnwindSafe, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use prost::{Message, Name};

use crate::{
    domain::event::{Malformed, Received, Recorded},
    store::{
        connection::Conn,
        error::{AsStoreError, StoreError},
    },
};

/// Why a projection failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProjectionError {
    /// The event breaks its contract.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The projection panicked.
    #[error("panicked")]
    Panicked,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AsStoreError for ProjectionError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Malformed(_) | Self::Panicked => None,
        }
    }
}

type Show = dyn for<'c> Fn(&'c mut dyn Conn, &'c Recorded) -> BoxFuture<'c, Result<(), ProjectionError>>
    + Send
    + Sync;

/// A projection of one event type.
#[derive(Clone)]
pub struct View {
    /// The type of the events.
    pub event_type: String,
    /// The name of the projection function.
    pub name: &'static str,
    show: Arc<Show>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.name, self.event_type)
    }
}

/// The projections of a context. Its own events are applied in the transaction that causes them, events of other contexts
/// when they are consumed.
#[derive(Clone, Debug, Default)]
pub struct Views(Vec<View>);

/// A projection function: `async fn(conn: &mut dyn Conn, event: Received<E>) -> Result<(), StoreError>`.
pub trait Projection<'c, E>: Send + Sync {
    /// The future that it returns.
    type Shown: Future<Output = Result<(), StoreError>> + Send + 'c;
    /// Applies the event.
    fn show(&self, conn: &'c mut dyn Conn, event: Received<E>) -> Self::Shown;
}

impl<'c, E, F, Shown> Projection<'c, E> for F
where
    F: Fn(&'c mut dyn Conn, Received<E>) -> Shown + Send + Sync,
    Shown: Future<Output = Result<(), StoreError>> + Send + 'c,
{
    type Shown = Shown;

    fn show(&self, conn: &'c mut dyn Conn, event: Received<E>) -> Shown {
        self(conn, event)
    }
}

impl Views {
    /// No projections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a projection function: `async fn(conn: &mut dyn Conn, event: Received<E>) -> Result<(), StoreError>`.
    #[must_use]
    pub fn on<E, P>(mut self, projection: P) -> Self
    where
        E: Message + Name + Default + 'static,
        P: for<'c> Projection<'c, E> + 'static,
    {
        let projection = Arc::new(projection);
        let show: Arc<Show> = Arc::new(move |conn, recorded| {
            let projection = projection.clone();
            Box::pin(async move {
                let event = recorded.receive::<E>().map_err(Malformed::because)?;
                Ok(projection.show(conn, event).await?)
            })
        });
        self.0.push(View {
            event_type: E::full_name(),
            name: type_name::<P>(),
            show,
        });
        self
    }

    /// The projections.
    pub fn iter(&self) -> impl Iterator<Item = &View> {
        self.0.iter()
    }

    /// Only the projections of some event types.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(
            self.0
                .iter()
                .filter(|view| keep(&view.event_type))
                .cloned()
                .collect(),
        )
    }

    /// Applies an event to every read model that has a projection for it.
    pub async fn show(&self, conn: &mut dyn Conn, event: &Recorded) -> Result<(), ProjectionError> {
        for view in self
            .0
            .iter()
            .filter(|view| view.event_type == event.event_type)
        {
            catch_panic((view.show)(conn, event)).await?;
        }
        Ok(())
    }
}

/// Turns a panic of a projection into an error of its event.
async fn catch_panic(
    reaction: BoxFuture<'_, Result<(), ProjectionError>>,
) -> Result<(), ProjectionError> {
    AssertUnwindSafe(reaction)
        .catch_unwind()
        .await
        .unwrap_or(Err(ProjectionError::Panicked))
}

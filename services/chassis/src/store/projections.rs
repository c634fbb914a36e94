//! Projections: what the read models of a context make of an event.

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

/// A read model's reaction to an event.
#[derive(Clone)]
pub struct View {
    /// The event it shows.
    pub event_type: String,
    /// Name of the function that does.
    pub name: &'static str,
    show: Arc<Show>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.name, self.event_type)
    }
}

/// The projections of a context. Those of its own events are written in the transaction that causes the event; those of
/// other contexts' events follow.
#[derive(Clone, Debug, Default)]
pub struct Views(Vec<View>);

/// An `async fn(conn: &mut dyn Conn, heard: Received<E>) -> Result<(), StoreError>`.
pub trait Projection<'c, E>: Send + Sync {
    /// What it answers.
    type Shown: Future<Output = Result<(), StoreError>> + Send + 'c;
    /// Shows the event.
    fn show(&self, conn: &'c mut dyn Conn, heard: Received<E>) -> Self::Shown;
}

impl<'c, E, F, Shown> Projection<'c, E> for F
where
    F: Fn(&'c mut dyn Conn, Received<E>) -> Shown + Send + Sync,
    Shown: Future<Output = Result<(), StoreError>> + Send + 'c,
{
    type Shown = Shown;

    fn show(&self, conn: &'c mut dyn Conn, heard: Received<E>) -> Shown {
        self(conn, heard)
    }
}

impl Views {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more: an `async fn(conn: &mut dyn Conn, heard: Received<E>) -> Result<(), StoreError>` that writes what `E` means
    /// for a read model.
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
                let heard = recorded.receive::<E>().map_err(Malformed::because)?;
                Ok(projection.show(conn, heard).await?)
            })
        });
        self.0.push(View {
            event_type: E::full_name(),
            name: type_name::<P>(),
            show,
        });
        self
    }

    /// The views.
    pub fn iter(&self) -> impl Iterator<Item = &View> {
        self.0.iter()
    }

    /// Only those on some events.
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

    /// Shows an event in every view that listens to it.
    pub async fn show(&self, conn: &mut dyn Conn, event: &Recorded) -> Result<(), ProjectionError> {
        for view in self
            .0
            .iter()
            .filter(|view| view.event_type == event.event_type)
        {
            unpanicked((view.show)(conn, event)).await?;
        }
        Ok(())
    }
}

/// A handler's panic is a fault of one event, not of the process.
async fn unpanicked(
    reaction: BoxFuture<'_, Result<(), ProjectionError>>,
) -> Result<(), ProjectionError> {
    AssertUnwindSafe(reaction)
        .catch_unwind()
        .await
        .unwrap_or(Err(ProjectionError::Panicked))
}

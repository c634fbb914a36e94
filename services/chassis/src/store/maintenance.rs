//! Maintenance of a store: its schema, the numbers of its log, leases.

use std::time::Duration;

use berth::inspection::v1::StoreEngine;

use crate::store::{error::StoreError, migration::Schema, store::Store};

impl Store {
    /// Which database it is in.
    pub(crate) fn engine(&self) -> StoreEngine {
        self.0.backend.kind()
    }

    /// Applies missing migrations. A SQLite store applies them when it is opened.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.0.backend.migrate(self.0.migrations).await
    }

    /// The migrations that are needed and missing. Migrations of a newer version are ignored.
    pub async fn schema(&self) -> Result<Schema, StoreError> {
        self.0.backend.schema(self.0.migrations).await
    }

    /// Numbers committed events, without gaps and in the order in which they were recorded. Returns whether there were
    /// any. SQLite numbers events when they are written.
    pub async fn number_events(&self) -> Result<bool, StoreError> {
        self.0.backend.number_events(self.floor()).await
    }

    /// How many events have no number yet.
    pub async fn unnumbered(&self) -> Result<i64, StoreError> {
        self.0.backend.unnumbered().await
    }

    /// Acquires or renews a lease. False if another holder has it, until it has not renewed it for its `time`.
    pub async fn lease(
        &self,
        name: &str,
        holder: &str,
        time: Duration,
    ) -> Result<bool, StoreError> {
        self.0.backend.lease(name, holder, time).await
    }

    /// Releases a lease, if the holder has it.
    pub async fn release(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        self.0.backend.release(name, holder).await
    }

    /// Signals a commit of another process to the receivers of [`Store::commits`].
    pub fn nudge(&self) {
        self.0.backend.notify_commit();
    }

    /// How many statements were sent over the network, for measurements. None with SQLite.
    pub fn round_trips(&self) -> u64 {
        self.0.backend.round_trips()
    }
}

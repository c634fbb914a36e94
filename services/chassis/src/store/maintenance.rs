//! Maintenance of a store: its schema, the numbers of its log, leases.

use std::time::Duration;

use berth::inspection::v1::StoreEngine;

use crate::store::{claim_formats, error::StoreError, migration::Schema, store::Store};

impl Store {
    /// Which database it is in.
    pub(crate) fn engine(&self) -> StoreEngine {
        self.0.backend.kind()
    }

    /// Applies missing migrations, and claims anew for kinds of aggregates whose claims have a new format. Returns these
    /// kinds. A SQLite store does both when it is opened.
    pub async fn migrate(&self) -> Result<Vec<&'static str>, StoreError> {
        self.0.backend.migrate(self.0.migrations).await?;
        self.renew_claims().await
    }

    /// Tests whether the formats of all claims have the versions of this program.
    pub async fn check_claims(&self) -> Result<(), StoreError> {
        let formats = self.0.claims.clone();
        let mismatch = self.read(move |conn| {
            Box::pin(async move { claim_formats::mismatch(conn, &formats).await })
        });
        match mismatch.await? {
            None => Ok(()),
            Some(why) => Err(StoreError::Claims(format!(
                "{why}: stop all processes of {}, then run `migrate`",
                self.context()
            ))),
        }
    }

    /// Claims anew for kinds whose claims have a new format. Returns these kinds. A process that runs would go on with the
    /// old format, so none may lead.
    async fn renew_claims(&self) -> Result<Vec<&'static str>, StoreError> {
        match self.check_claims().await {
            Ok(()) => return Ok(Vec::new()),
            Err(StoreError::Claims(_)) if !self.0.backend.is_led().await? => {}
            Err(error) => return Err(error),
        }
        let formats = self.0.claims.clone();
        self.transact_fenced(move |unit| {
            let formats = formats.clone();
            Box::pin(async move { claim_formats::renew(unit.conn(), &formats).await })
        })
        .await
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
    pub fn notify_commit(&self) {
        self.0.backend.notify_commit();
    }

    /// How many statements were sent over the network, for measurements. None with SQLite.
    pub fn round_trips(&self) -> u64 {
        self.0.backend.round_trips()
    }
}

//! What a store is asked by those who keep it going: its schema, the numbers of its log, who leads.

use std::time::Duration;

use crate::store::{Schema, Store, StoreError};

impl Store {
    /// Brings the schema up to what this version needs; what is there stays. An embedded store does that by itself.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.0.engine.migrate(self.0.migrations).await
    }

    /// What the schema must have, and what of that it lacks. A newer schema is fine.
    pub async fn schema(&self) -> Result<Schema, StoreError> {
        self.0.engine.schema(self.0.migrations).await
    }

    /// Numbers what is committed and has no number yet, without gaps and in the order in which it was recorded. Answers
    /// whether there was anything. Where there is one writer, events are numbered as they are written.
    pub async fn stamp(&self) -> Result<bool, StoreError> {
        self.0.engine.stamp(self.floor()).await
    }

    /// How many events have no number yet.
    pub async fn unnumbered(&self) -> Result<i64, StoreError> {
        self.0.engine.unnumbered().await
    }

    /// Takes or renews a lease until `time` from now, by the clock of the database. False if somebody else holds it.
    pub async fn lease(
        &self,
        name: &str,
        holder: &str,
        time: Duration,
    ) -> Result<bool, StoreError> {
        self.0.engine.lease(name, holder, time).await
    }

    /// Gives a lease back, if the holder has it.
    pub async fn release(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        self.0.engine.release(name, holder).await
    }

    /// Says that somebody else has committed: whoever waits for [`Store::commits`] looks again.
    pub fn nudge(&self) {
        self.0.engine.nudge();
    }

    /// How often it has waited for an answer across the network, for measurements. An embedded store never does.
    pub fn round_trips(&self) -> u64 {
        self.0.engine.round_trips()
    }
}

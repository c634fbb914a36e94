//! Queries of a store outside of a unit of work.

use crate::{
    base::time::Timestamp,
    domain::{
        aggregate::{Aggregate, ClaimRange, Versioned},
        consumer_name::ConsumerName,
        event::Recorded,
        log_id::LogId,
        position::{Cursor, Position},
    },
    store::{
        aggregates::{self, Due},
        claims, cursor,
        dead_letters::{self, DeadLetter},
        error::StoreError,
        log,
        store::Store,
    },
};

impl Store {
    /// One aggregate.
    pub async fn load<A: Aggregate>(&self, id: A::Id) -> Result<Option<Versioned<A>>, StoreError> {
        let found = self.load_all(vec![id]).await?.pop();
        Ok(found.map(|(_, aggregate)| aggregate))
    }

    /// Several aggregates, in the order of the ids. Missing ones are left out.
    pub async fn load_all<A: Aggregate>(
        &self,
        ids: Vec<A::Id>,
    ) -> Result<Vec<(A::Id, Versioned<A>)>, StoreError> {
        self.read(move |conn| {
            Box::pin(async move {
                let mut found = Vec::with_capacity(ids.len());
                for id in ids {
                    if let Some(row) = aggregates::load(conn, A::KIND, &id.to_string()).await? {
                        found.push((id, aggregates::versioned(&row, 0)?));
                    }
                }
                Ok(found)
            })
        })
        .await
    }

    /// Aggregates of a kind in the order of their ids, after one of them. For checks and rebuilds.
    pub async fn scan<A: Aggregate>(
        &self,
        after: Option<A::Id>,
        limit: i64,
    ) -> Result<Vec<(A::Id, Versioned<A>)>, StoreError> {
        let after = after.map_or_else(String::new, |id| id.to_string());
        let rows = self
            .read(move |conn| {
                Box::pin(async move { aggregates::page(conn, A::KIND, &after, limit).await })
            })
            .await?;
        let invalid = |_| StoreError::Bug("an id in the store is invalid".into());
        rows.iter()
            .map(|row| {
                let id = row.text(0)?.parse().map_err(invalid)?;
                Ok((id, aggregates::versioned(row, 1)?))
            })
            .collect()
    }

    /// The keys of a range that are held.
    pub async fn taken(&self, range: ClaimRange) -> Result<Vec<String>, StoreError> {
        self.read(move |conn| {
            Box::pin(async move {
                let held = claims::held_by_others(conn, &[range], "").await?;
                Ok(held.into_iter().flatten().collect())
            })
        })
        .await
    }

    /// The aggregate of a kind that holds a claim.
    pub async fn holder<A: Aggregate>(
        &self,
        scope: &'static str,
        key: String,
    ) -> Result<Option<A::Id>, StoreError> {
        let owner = self
            .read(move |conn| Box::pin(async move { claims::holder(conn, scope, &key).await }))
            .await?;
        let id = owner.as_deref().and_then(|owner| owner.split_once('/'));
        Ok(id.and_then(|(kind, id)| (kind == A::KIND).then(|| id.parse().ok())?))
    }

    /// Every claim as scope, key and owner (`<kind>/<id>`). For checks.
    pub async fn claims(&self) -> Result<Vec<(String, String, String)>, StoreError> {
        self.read(|conn| Box::pin(claims::all(conn))).await
    }

    /// Due aggregates of some kinds that do not wait for a retry, those that wait longest first.
    pub async fn due(
        &self,
        kinds: Vec<&'static str>,
        at: Timestamp,
        limit: i64,
    ) -> Result<Vec<Due>, StoreError> {
        self.read(move |conn| {
            Box::pin(async move { aggregates::due(conn, &kinds, at, limit).await })
        })
        .await
    }

    /// Lets a due aggregate wait for a retry, unless its state has changed.
    pub(crate) async fn postpone(&self, due: Due, retry: Timestamp) -> Result<(), StoreError> {
        self.transact(move |unit| {
            let due = due.clone();
            Box::pin(async move { aggregates::postpone(unit.conn(), &due, retry).await })
        })
        .await
    }

    /// Events of the log after a sequence number, in order.
    pub async fn log_after(&self, after: i64, limit: i64) -> Result<Vec<Recorded>, StoreError> {
        let context = self.context();
        self.read(move |conn| Box::pin(log::page(conn, context, after, limit)))
            .await
    }

    /// All events of one aggregate, oldest first.
    pub async fn log_of(&self, subject: String) -> Result<Vec<Recorded>, StoreError> {
        let (context, order) = (self.context(), self.0.backend.log_order());
        self.read(move |conn| {
            Box::pin(async move { log::of_aggregate(conn, context, &subject, order).await })
        })
        .await
    }

    /// The high-water mark of the log: the position of its last event.
    pub async fn high_water_mark(&self) -> Result<Position, StoreError> {
        let mark = self
            .read(|conn| Box::pin(log::high_water_mark(conn)))
            .await?;
        self.0.fence.record_position(mark);
        Ok(mark)
    }

    /// The cursor of a consumer on a producer's log.
    pub async fn cursor(&self, consumer: ConsumerName, log: LogId) -> Result<Cursor, StoreError> {
        self.read(move |conn| Box::pin(async move { cursor::read(conn, &consumer, &log).await }))
            .await
    }

    /// Dead letters after a consumer, producer and sequence number, in this order.
    pub async fn dead_letters(
        &self,
        after: (String, String, i64),
        limit: i64,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        self.read(move |conn| {
            Box::pin(async move {
                let after = (&*after.0, &*after.1, after.2);
                dead_letters::page(conn, after, limit).await
            })
        })
        .await
    }

    /// Dead letters of a consumer from a log that are due, the first of each aggregate.
    pub(crate) async fn letters_due(
        &self,
        (consumer, log): (ConsumerName, LogId),
        at: Timestamp,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        self.read(move |conn| {
            Box::pin(async move { dead_letters::due(conn, (&consumer, &log), at).await })
        })
        .await
    }

    /// Makes the dead letters of one aggregate due, or all if it is empty. Returns how many.
    pub async fn redrive(&self, subject: String) -> Result<u64, StoreError> {
        self.transact(move |unit| {
            let subject = subject.clone();
            Box::pin(async move {
                let at = unit.at();
                dead_letters::redrive(unit.conn(), &subject, at).await
            })
        })
        .await
    }
}

//! Restores aggregates from the events of the log.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;

use crate::{
    domain::{
        aggregate::{Aggregate, Versioned},
        event::{Publish, Recorded},
    },
    store::{error::StoreError, store::Store, unit_of_work::UnitOfWork},
};

/// The reverse of [`Publish`], for an aggregate whose published facts contain its whole history, one fact for each event.
pub trait Restore: Publish {
    /// The event behind a published fact, given the aggregate before it. None if the fact is of another kind, or lacks
    /// data, as facts of an older version may.
    fn event(fact: &Recorded, before: Option<&Self>) -> Option<Self::Event>;

    /// Whether this kind of aggregate publishes facts of a type.
    fn restores_from(event_type: &str) -> bool;
}

/// Applies one fact to an aggregate. The error says why it does not fit.
pub fn step<A: Restore>(
    before: Option<Versioned<A>>,
    fact: &Recorded,
) -> Result<Versioned<A>, String> {
    let version = before.as_ref().map_or(0, |before| before.version);
    if fact.version != version + 1 {
        return Err(format!(
            "the aggregate has version {version}, the event has version {}",
            fact.version
        ));
    }
    let created = before.as_ref().map_or(fact.at, |before| before.created);
    let before = before.map(|before| before.state);
    let event =
        A::event(fact, before.as_ref()).ok_or("the event lacks data to restore the aggregate")?;
    let state = A::evolve(before, &event)
        .ok_or("the event does not apply to the state of the aggregate")?;
    Ok(Versioned {
        state,
        version: fact.version,
        created,
        updated: fact.at,
    })
}

/// The aggregate after all its facts; none if there are none.
pub fn fold<A: Restore>(facts: &[Recorded]) -> Result<Option<Versioned<A>>, String> {
    facts
        .iter()
        .filter(|fact| A::restores_from(&fact.event_type))
        .try_fold(None, |before, fact| step(before, fact).map(Some))
}

type Apply = dyn for<'u> Fn(
        &'u mut UnitOfWork<'_>,
        &'u Recorded,
    ) -> BoxFuture<'u, Result<Result<(), String>, StoreError>>
    + Send
    + Sync;
type Compare = dyn Fn(Store) -> BoxFuture<'static, Result<Vec<String>, StoreError>> + Send + Sync;

/// Restores the aggregates of one kind.
#[derive(Clone)]
pub struct Restorer {
    /// The kind.
    pub kind: &'static str,
    concerns: fn(&Recorded) -> bool,
    apply: Arc<Apply>,
    compare: Arc<Compare>,
}

impl fmt::Debug for Restorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "restorer of {}", self.kind)
    }
}

impl Restorer {
    pub(crate) fn of<A: Restore>() -> Self {
        Self {
            kind: A::KIND,
            concerns: |fact| A::restores_from(&fact.event_type),
            apply: Arc::new(|unit, fact| Box::pin(apply::<A>(unit, fact))),
            compare: Arc::new(|store| Box::pin(compare::<A>(store))),
        }
    }

    /// Whether a fact concerns an aggregate of this kind.
    pub fn concerns(&self, fact: &Recorded) -> bool {
        (self.concerns)(fact)
    }

    /// Applies a fact to the stored aggregate. The inner error says why it does not fit; nothing is written then.
    pub async fn apply(
        &self,
        unit: &mut UnitOfWork<'_>,
        fact: &Recorded,
    ) -> Result<Result<(), String>, StoreError> {
        (self.apply)(unit, fact).await
    }

    /// The differences between the stored aggregates and those restored from the log.
    pub async fn compare(&self, store: &Store) -> Result<Vec<String>, StoreError> {
        (self.compare)(store.clone()).await
    }
}

async fn apply<A: Restore>(
    unit: &mut UnitOfWork<'_>,
    fact: &Recorded,
) -> Result<Result<(), String>, StoreError> {
    let Ok(id) = fact.subject.parse::<A::Id>() else {
        return Ok(Err("the id of the aggregate is invalid".to_owned()));
    };
    let before = unit.load::<A>(id).await?;
    match step(before.clone(), fact) {
        Ok(after) => unit.put_restored(id, before, after).await,
        Err(why) => Ok(Err(why)),
    }
}

async fn compare<A: Restore>(store: Store) -> Result<Vec<String>, StoreError> {
    let mut differ = Vec::new();
    let mut after = None;
    loop {
        let page = store.scan::<A>(after, 500).await?;
        let Some((last, _)) = page.last() else {
            return Ok(differ);
        };
        after = Some(*last);
        for (id, stored) in page {
            let facts = store.log_of(id.to_string()).await?;
            let restored = match fold::<A>(&facts) {
                Ok(Some(restored)) if restored == stored => continue,
                Ok(restored) => format!("{restored:?}"),
                Err(why) => format!("nothing: {why}"),
            };
            differ.push(format!(
                "{} {id} is stored as {stored:?}, its log restores {restored}",
                A::KIND
            ));
        }
    }
}

impl UnitOfWork<'_> {
    /// Saves an aggregate after one restored fact. The inner error names the holder of a claim that is held already.
    async fn put_restored<A: Aggregate>(
        &mut self,
        id: A::Id,
        before: Option<Versioned<A>>,
        after: Versioned<A>,
    ) -> Result<Result<(), String>, StoreError> {
        let held = before.as_ref().map(|before| before.state.claims());
        let held = held.unwrap_or_default();
        for (scope, key) in after.state.claims().minus(&held) {
            if let Some(holder) = self.holder_of(scope, key).await? {
                return Ok(Err(format!("{scope} {key} is held by {holder}")));
            }
        }
        let from = before.map_or(0, |before| before.version);
        self.save(id.to_string(), &after, from, &held, Vec::new())
            .await?;
        Ok(Ok(()))
    }
}

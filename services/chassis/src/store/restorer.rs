//! Aggregates made again from the log: the log is the truth, and a state is what comes of it.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;

use crate::{
    domain::{
        aggregate::{Aggregate, Versioned},
        event::{Publish, Recorded},
    },
    store::{Store, StoreError, Unit},
};

/// The reverse of [`Publish`]: an aggregate whose facts tell everything that has happened to it, one fact for each event.
pub trait Restore: Publish {
    /// The event that a fact told of, with the aggregate as it was before it. None if it told of something else, or of
    /// less than is needed, as facts of an older version may.
    fn event(told: &Recorded, before: Option<&Self>) -> Option<Self::Event>;

    /// Whether facts of a type are about an aggregate of this kind.
    fn is_told_by(event_type: &str) -> bool;
}

/// An aggregate after one more fact; why there is none, if it cannot have come of it.
pub fn step<A: Restore>(
    before: Option<Versioned<A>>,
    told: &Recorded,
) -> Result<Versioned<A>, String> {
    let version = before.as_ref().map_or(0, |before| before.version);
    if told.version != version + 1 {
        return Err(format!(
            "it is version {version}, and what is told of made it version {}",
            told.version
        ));
    }
    let created = before.as_ref().map_or(told.at, |before| before.created);
    let before = before.map(|before| before.state);
    let event = A::event(told, before.as_ref()).ok_or("too little is told to make it again")?;
    let state = A::evolve(before, &event).ok_or("it cannot have happened to what is there")?;
    Ok(Versioned {
        state,
        version: told.version,
        created,
        updated: told.at,
    })
}

/// The aggregate that the log tells of; none if it tells nothing.
pub fn fold<A: Restore>(told: &[Recorded]) -> Result<Option<Versioned<A>>, String> {
    told.iter()
        .filter(|told| A::is_told_by(&told.event_type))
        .try_fold(None, |before, told| step(before, told).map(Some))
}

type Put = dyn for<'u> Fn(
        &'u mut Unit<'_>,
        &'u Recorded,
    ) -> BoxFuture<'u, Result<Result<(), String>, StoreError>>
    + Send
    + Sync;
type Compare = dyn Fn(Store) -> BoxFuture<'static, Result<Vec<String>, StoreError>> + Send + Sync;

/// What makes the aggregates of one kind again.
#[derive(Clone)]
pub struct Restorer {
    /// The kind.
    pub kind: &'static str,
    tells: fn(&Recorded) -> bool,
    put: Arc<Put>,
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
            tells: |told| A::is_told_by(&told.event_type),
            put: Arc::new(|unit, told| Box::pin(put::<A>(unit, told))),
            compare: Arc::new(|store| Box::pin(compare::<A>(store))),
        }
    }

    /// Whether a fact can be about one of them.
    pub fn tells(&self, told: &Recorded) -> bool {
        (self.tells)(told)
    }

    /// Lets what is told happen once more to the stored aggregate. Answers why it cannot, if it cannot; nothing is written
    /// then.
    pub async fn put(
        &self,
        unit: &mut Unit<'_>,
        told: &Recorded,
    ) -> Result<Result<(), String>, StoreError> {
        (self.put)(unit, told).await
    }

    /// Where the stored aggregates are not what the log tells.
    pub async fn compare(&self, store: &Store) -> Result<Vec<String>, StoreError> {
        (self.compare)(store.clone()).await
    }
}

async fn put<A: Restore>(
    unit: &mut Unit<'_>,
    told: &Recorded,
) -> Result<Result<(), String>, StoreError> {
    let Ok(id) = told.subject.parse::<A::Id>() else {
        return Ok(Err("its id is none".to_owned()));
    };
    let before = unit.load::<A>(id).await?;
    match step(before.clone(), told) {
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
            let told = store.log_of(id.to_string()).await?;
            let made = match fold::<A>(&told) {
                Ok(Some(made)) if made == stored => continue,
                Ok(made) => format!("makes it {made:?}"),
                Err(why) => format!("makes nothing: {why}"),
            };
            differ.push(format!("{} {id} is {stored:?}, its log {made}", A::KIND));
        }
    }
}

impl Unit<'_> {
    /// Saves an aggregate that was made again from one fact. Answers who holds what it claims, if somebody else does.
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
        self.save_again(id.to_string(), &after, from, &held).await?;
        Ok(Ok(()))
    }
}

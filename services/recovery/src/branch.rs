//! Finds where the history of the log parts from the one that others have seen, and the events of that other history.

use std::collections::BTreeMap;

use chassis::{
    domain::{event::Recorded, position::Position},
    store::{Store, StoreError, WriteFence},
};

use crate::{error::RecoverError, source::Source};

/// The most events that are read at once.
const PAGE: i64 = 500;

/// The history that others have seen, after it parts from that of the log.
#[derive(Debug, Default)]
pub(crate) struct Branch {
    /// The last sequence number that both have.
    pub(crate) fork: i64,
    /// Whether a source or an operator shows the fork. If not, it is where the log ends.
    pub(crate) fork_is_known: bool,
    /// The events after the fork that a source still has, by sequence number.
    pub(crate) events: BTreeMap<i64, Recorded>,
}

impl Branch {
    /// The last sequence number of its events; 0 if there are none.
    pub(crate) fn last(&self) -> i64 {
        self.events.last_key_value().map_or(0, |(seq, _)| *seq)
    }
}

/// Finds the history that others have seen.
pub(crate) async fn find(
    store: &Store,
    fence: &WriteFence,
    sources: &[Source],
    fork: Option<i64>,
) -> Result<Branch, RecoverError> {
    let head = store.high_water_mark().await?.seq;
    let mut found = Branch {
        fork: fork.unwrap_or(head),
        fork_is_known: fork.is_some(),
        ..Branch::default()
    };
    for source in sources {
        let from = (head.min(fence.seen) - PAGE).max(0);
        let mut branch = compare(store, source, from).await?;
        if !branch.fork_is_known && from > 0 {
            branch = compare(store, source, 0).await?;
        }
        if branch.fork_is_known && !found.fork_is_known {
            (found.fork, found.fork_is_known) = (branch.fork, true);
        }
        for (seq, event) in branch.events {
            found.events.entry(seq).or_insert(event);
        }
    }
    let fork = found.fork;
    found.events.retain(|seq, _| *seq > fork);
    if !found.fork_is_known && fence.seen <= head {
        return Err(RecoverError::UnknownFork);
    }
    Ok(found)
}

/// Compares the events of a source after a sequence number with those of the log.
async fn compare(store: &Store, source: &Source, from: i64) -> Result<Branch, RecoverError> {
    let own = own_positions(store, from).await?;
    let mut events = BTreeMap::new();
    let mut common = None;
    for event in source.read(store.context(), from).await? {
        let own = own.get(&event.seq);
        if own.is_some_and(|own| own.digest == event.digest) {
            common = common.max(Some(event.seq));
        } else {
            events.insert(event.seq, event);
        }
    }
    let Some((first, event)) = events.first_key_value() else {
        return Ok(Branch::default());
    };
    let before = own.get(&(first - 1));
    let follows = before.is_some_and(|before| before.follow(event).is_some());
    let last_own = own.last_key_value().map_or(0, |(seq, _)| *seq);
    let fork = if follows {
        Some(first - 1)
    } else {
        // The source lacks the first lost events, but has the last one that is still on the log.
        common.filter(|common| *common == last_own)
    };
    if fork == Some(0) && last_own > 0 || from == 0 && fork.is_none() && *first <= last_own {
        return Err(RecoverError::OtherHistory(*first));
    }
    Ok(Branch {
        fork: fork.unwrap_or(0),
        fork_is_known: fork.is_some(),
        events,
    })
}

/// The positions of the log from a sequence number on.
async fn own_positions(store: &Store, from: i64) -> Result<BTreeMap<i64, Position>, StoreError> {
    let mut positions = BTreeMap::new();
    if from == 0 {
        positions.insert(0, Position::START);
    }
    let mut after = (from - 1).max(0);
    loop {
        let page = store.log_after(after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(positions);
        };
        after = last.seq;
        positions.extend(page.iter().map(|event| {
            let position = Position {
                seq: event.seq,
                digest: event.digest,
                ..Position::START
            };
            (event.seq, position)
        }));
    }
}

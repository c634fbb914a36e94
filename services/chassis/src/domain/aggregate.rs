//! What an aggregate is: a state, pure rules about it, what it claims and what it waits for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{base::time::Timestamp, error::refusal::Refused};

/// The unit of consistency: its rules are pure functions, and one command on one aggregate is one transaction.
pub trait Aggregate:
    Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Names the kind in the store; kebab-case, never changed.
    const KIND: &'static str;
    /// Names one aggregate of the kind.
    type Id: Copy + fmt::Display + fmt::Debug + FromStr + PartialEq + Send + Sync + 'static;
    /// What it can be told to do.
    type Command: Clone + fmt::Debug + Send + Sync + 'static;
    /// What can happen to it.
    type Event: Clone + fmt::Debug + PartialEq + Send + Sync + 'static;
    /// Why it may say no.
    type Refusal: Refused;

    /// The rules: what happens when the command is given now. A repeat of what has been done is `Ok(vec![])`.
    fn decide(
        this: Option<&Self>,
        command: &Self::Command,
        now: &Now,
    ) -> Result<Vec<Self::Event>, Self::Refusal>;

    /// The state after an event; `None` only for an event that cannot have happened to `this`.
    fn evolve(this: Option<Self>, event: &Self::Event) -> Option<Self>;

    /// Which claims `decide` wants to see for a command, because it chooses free ones. Default: none.
    fn claim_ranges(_this: Option<&Self>, _command: &Self::Command) -> Vec<ClaimRange> {
        Vec::new()
    }

    /// What this state holds that nobody else may hold. Default: nothing.
    fn claims(&self) -> Claims {
        Claims::none()
    }

    /// When this state wants to be woken, whatever happens. Default: never.
    fn due(&self) -> Option<Timestamp> {
        None
    }

    /// The command with which it is woken. Default: none (an job does it, see [`crate::runtime::deadlines`]).
    fn when_due() -> Option<Self::Command> {
        None
    }
}

/// An aggregate as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Versioned<A> {
    /// The state.
    pub state: A,
    /// Grows by one with every event.
    pub version: i64,
    /// When it came to be.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

/// What is true at the moment of a decision: the time, and which of the claims looked at are taken.
#[derive(Clone, Debug)]
pub struct Now {
    /// The time.
    pub at: Timestamp,
    taken: BTreeMap<String, BTreeSet<String>>,
}

impl Now {
    /// A moment at which nothing is taken.
    pub fn at(at: Timestamp) -> Self {
        Self {
            at,
            taken: BTreeMap::new(),
        }
    }

    /// The same moment with one more claim that somebody else holds.
    #[must_use]
    pub fn with_held(mut self, scope: impl Into<String>, key: impl Into<String>) -> Self {
        self.taken
            .entry(scope.into())
            .or_default()
            .insert(key.into());
        self
    }

    /// Whether somebody else holds a claim. True only within what [`Aggregate::claim_ranges`] asked for.
    pub fn is_held(&self, scope: &str, key: &str) -> bool {
        self.taken.get(scope).is_some_and(|keys| keys.contains(key))
    }

    /// The claims of a scope that others hold, within what was looked at.
    pub fn taken(&self, scope: &str) -> impl Iterator<Item = &str> {
        let keys = self.taken.get(scope).into_iter().flatten();
        keys.map(String::as_str)
    }

    /// How many claims of a scope others hold, within what was looked at.
    pub fn count_held(&self, scope: &str) -> usize {
        self.taken.get(scope).map_or(0, BTreeSet::len)
    }
}

/// A range of claims to look at: the keys of a scope from `from` up to but not including `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRange {
    /// The scope.
    pub scope: String,
    /// The first key.
    pub from: String,
    /// The key after the last one.
    pub to: String,
}

impl ClaimRange {
    /// All keys of a scope.
    pub fn all(scope: impl Into<String>) -> Self {
        Self::range(scope, "", "\u{10FFFF}")
    }

    /// A range of keys of a scope.
    pub fn range(scope: impl Into<String>, from: impl Into<String>, to: impl Into<String>) -> Self {
        Self {
            scope: scope.into(),
            from: from.into(),
            to: to.into(),
        }
    }
}

/// What a state holds: pairs of scope and key, of which the store lets only one aggregate hold each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims(BTreeSet<(String, String)>);

impl Claims {
    /// Nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// One more claim.
    #[must_use]
    pub fn and(mut self, scope: impl Into<String>, key: impl Into<String>) -> Self {
        self.0.insert((scope.into(), key.into()));
        self
    }

    /// The claims, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(scope, key)| (scope.as_str(), key.as_str()))
    }

    /// What `self` holds and `other` does not.
    pub fn minus<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .difference(&other.0)
            .map(|(scope, key)| (scope.as_str(), key.as_str()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<S: Into<String>, K: Into<String>> FromIterator<(S, K)> for Claims {
    fn from_iter<I: IntoIterator<Item = (S, K)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(scope, key)| (scope.into(), key.into()))
                .collect(),
        )
    }
}

impl<S: Into<String>, K: Into<String>> Extend<(S, K)> for Claims {
    fn extend<I: IntoIterator<Item = (S, K)>>(&mut self, pairs: I) {
        self.0.extend(
            pairs
                .into_iter()
                .map(|(scope, key)| (scope.into(), key.into())),
        );
    }
}

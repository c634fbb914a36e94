//! Aggregates: state, pure rules, claims and deadlines.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{base::time::Timestamp, error::refusal::Refused};

/// A unit of consistency: its rules are pure functions, and one command on one aggregate is one transaction.
pub trait Aggregate:
    Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Name of the kind in the store; kebab-case, never changed.
    const KIND: &'static str;
    /// Identifies one aggregate of the kind.
    type Id: Copy + fmt::Display + fmt::Debug + FromStr + PartialEq + Send + Sync + 'static;
    /// Its commands.
    type Command: Clone + fmt::Debug + Send + Sync + 'static;
    /// Its events.
    type Event: Clone + fmt::Debug + PartialEq + Send + Sync + 'static;
    /// Its refusals.
    type Refusal: Refused;
    /// Version of the format of its claims. A change of [`Aggregate::claims`] for a stored state needs another version:
    /// the store then claims anew from all states, see [`crate::store::ClaimFormat`].
    const CLAIMS_VERSION: i64 = 1;

    /// The events of a command given now. A repeated command is `Ok(vec![])`.
    fn decide(
        this: Option<&Self>,
        command: &Self::Command,
        now: &Now,
    ) -> Result<Vec<Self::Event>, Self::Refusal>;

    /// The state after an event; `None` only for an event that cannot have happened to `this`.
    fn evolve(this: Option<Self>, event: &Self::Event) -> Option<Self>;

    /// The ranges of claims that `decide` reads for a command, in order to choose free ones. Default: none.
    fn claim_ranges(_this: Option<&Self>, _command: &Self::Command) -> Vec<ClaimRange> {
        Vec::new()
    }

    /// The claims that this state holds. Default: none.
    fn claims(&self) -> Claims {
        Claims::none()
    }

    /// The deadline of this state. Default: none.
    fn due(&self) -> Option<Timestamp> {
        None
    }

    /// The command given at the deadline. Default: none (a job of the context handles the deadline).
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
    /// When it was created.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
}

/// The circumstances of a decision: the time, and which claims in the ranges read are held by other aggregates.
#[derive(Clone, Debug)]
pub struct Now {
    /// The time.
    pub at: Timestamp,
    held: BTreeMap<String, BTreeSet<String>>,
}

impl Now {
    /// A time at which no claims are held.
    pub fn at(at: Timestamp) -> Self {
        Self {
            at,
            held: BTreeMap::new(),
        }
    }

    /// Adds a claim that another aggregate holds.
    #[must_use]
    pub fn with_held(mut self, scope: impl Into<String>, key: impl Into<String>) -> Self {
        self.held
            .entry(scope.into())
            .or_default()
            .insert(key.into());
        self
    }

    /// Whether another aggregate holds a claim. Known only within the [`Aggregate::claim_ranges`].
    pub fn is_held(&self, scope: &str, key: &str) -> bool {
        self.held.get(scope).is_some_and(|keys| keys.contains(key))
    }

    /// The claims of a scope that other aggregates hold, within the ranges read.
    pub fn taken(&self, scope: &str) -> impl Iterator<Item = &str> {
        let keys = self.held.get(scope).into_iter().flatten();
        keys.map(String::as_str)
    }
}

/// A range of claims: the keys of a scope from `from` up to but not including `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRange {
    /// The scope.
    pub scope: String,
    /// The first key.
    pub from: String,
    /// The key after the last one.
    pub to: String,
    /// If every unit has the keys of the range: which units are read.
    pub units: Option<Units>,
}

/// Units of a scope that can be claimed for the same keys. They are read from 1 to `count`, until `wanted` of them hold no
/// key of the range. One held key stands for all that a unit holds, so what is read does not grow with the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// How many units there are, at most 9,999.
    pub count: u32,
    /// How many units without a held key are needed.
    pub wanted: u32,
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
            units: None,
        }
    }

    /// The same range of keys for each of these units.
    #[must_use]
    pub fn of_units(self, units: Units) -> Self {
        Self {
            units: Some(units),
            ..self
        }
    }

    /// The key of a unit.
    pub fn unit_key(unit: u32, key: &str) -> String {
        format!("{unit:04}/{key}")
    }

    /// Whether a claim is in the range.
    pub fn contains(&self, scope: &str, key: &str) -> bool {
        let key = match self.units {
            Some(_) => key.split_once('/').map_or("", |(_, key)| key),
            None => key,
        };
        scope == self.scope && *self.from <= *key && *key < *self.to
    }
}

/// Claims: pairs of scope and key. The store lets only one aggregate hold each pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims(BTreeSet<(String, String)>);

impl Claims {
    /// No claims.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a claim.
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

    /// The claims of `self` that `other` does not have.
    pub fn minus<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .difference(&other.0)
            .map(|(scope, key)| (scope.as_str(), key.as_str()))
    }

    /// The claims that both have.
    pub fn common<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .intersection(&other.0)
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
        let mut claims = Self::none();
        claims.extend(pairs);
        claims
    }
}

impl<S: Into<String>, K: Into<String>> Extend<(S, K)> for Claims {
    fn extend<I: IntoIterator<Item = (S, K)>>(&mut self, pairs: I) {
        let pairs = pairs.into_iter();
        self.0
            .extend(pairs.map(|(scope, key)| (scope.into(), key.into())));
    }
}

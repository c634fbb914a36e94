//! Given/when/then tests of an aggregate's rules.

use std::fmt::Debug;

use chassis::{
    base::time::Timestamp,
    domain::aggregate::{Aggregate, Now},
};

/// A decision under test: `given([…]).at(…).when(…).then([…])`.
#[derive(Debug)]
pub struct Given<A: Aggregate> {
    state: Option<A>,
    now: Now,
}

/// The default time of tests: 1 March 2027, noon UTC.
pub fn noon() -> Timestamp {
    Timestamp::from_second(1_803_902_400).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Begins with the events so far.
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let state = fold(None, events);
    Given {
        state,
        now: Now::at(noon()),
    }
}

/// The state after events; panics on an event that is impossible in its state.
pub fn fold<A: Aggregate>(
    state: Option<A>,
    events: impl IntoIterator<Item = A::Event>,
) -> Option<A> {
    events.into_iter().fold(state, |state, event| {
        let next = A::evolve(state, &event);
        assert!(next.is_some(), "{} cannot evolve by {event:?}", A::KIND);
        next
    })
}

impl<A: Aggregate> Given<A> {
    /// Sets the time of the decision.
    #[must_use]
    pub fn at(mut self, at: Timestamp) -> Self {
        self.now.at = at;
        self
    }

    /// Another aggregate holds a claim.
    #[must_use]
    pub fn taken(mut self, scope: impl Into<String>, key: impl Into<String>) -> Self {
        self.now = self.now.with_held(scope, key);
        self
    }

    /// Gives the command.
    #[expect(clippy::needless_pass_by_value, reason = "reads better in a test")]
    pub fn when(self, command: A::Command) -> Decided<A> {
        let decided = A::decide(self.state.as_ref(), &command, &self.now);
        Decided {
            state: self.state,
            decided,
        }
    }
}

/// The outcome of a decision.
#[derive(Debug)]
pub struct Decided<A: Aggregate> {
    state: Option<A>,
    decided: Result<Vec<A::Event>, A::Refusal>,
}

impl<A: Aggregate> Decided<A> {
    /// Asserts that these events were decided, and that the state can evolve by them. Returns the state.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = A::Event>) -> Option<A> {
        let expected: Vec<_> = events.into_iter().collect();
        match self.decided {
            Ok(decided) => assert_eq!(decided, expected),
            Err(refusal) => panic!("refused: {refusal:?}, expected {expected:?}"),
        }
        fold(self.state, expected)
    }

    /// Asserts that the command was refused.
    #[track_caller]
    pub fn refuses(self, refusal: &A::Refusal)
    where
        A::Event: Debug,
    {
        assert_eq!(
            self.decided.as_ref().err(),
            Some(refusal),
            "decided {:?}",
            self.decided
        );
    }

    /// Asserts that the command was not refused. Returns the state after it, and the events.
    #[track_caller]
    pub fn happens(self) -> (Option<A>, Vec<A::Event>) {
        match self.decided {
            Ok(events) => (fold(self.state, events.clone()), events),
            Err(refusal) => panic!("refused: {refusal:?}"),
        }
    }
}

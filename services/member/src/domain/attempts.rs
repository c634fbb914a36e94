//! Failed attempts to sign in, and the limits that follow from them.
//!
//! | Failed attempts within 15 minutes | Limit |
//! |---|---|
//! | 10 on one e-mail address from one source | that source is refused for that address |
//! | 100 on one e-mail address | only sources known to the member are admitted |
//! | 50 from one source | only members who know the source are admitted |
//!
//! A source is known to a member who has signed in from it. So nobody can lock somebody else out of a usual place, and
//! guesses with many addresses or from many sources are limited too.
//!
//! The attempts are in aggregates of their own and of limited size: one for each account, and a fixed number for all
//! addresses without one, and for all sources, by the remainder of a hash. So they are counted in the same way, and take
//! as long, whether or not an address has an account; and attempts on other addresses displace none on an account.

use chassis::{Aggregate, MemberId, Now, Timestamp, base::time::SignedDuration};
use serde::{Deserialize, Serialize};

use super::{
    Refusal,
    source::{Source, fingerprint},
    values::Email,
};

chassis::id! {
    /// A bucket of failed attempts.
    BucketId,
}

/// How long an attempt counts.
const WINDOW: SignedDuration = SignedDuration::from_mins(15);
const PER_ADDRESS_AND_SOURCE: usize = 10;
const PER_ADDRESS: usize = 100;
const PER_SOURCE: usize = 50;
/// Number of buckets for addresses without account, and as many for sources.
const BUCKETS: u64 = 4096;
/// Attempts in a bucket. Beyond it the oldest is dropped.
const MAX: usize = 200;

/// An e-mail address as attempts record it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Address(u64);

/// A guess of the password of an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guess {
    address: Address,
    account: Option<MemberId>,
    source: Source,
}

impl Guess {
    /// A guess from a source, with the account that has the address.
    pub(crate) fn of(email: &Email, account: Option<MemberId>, source: Source) -> Self {
        Self {
            address: Address(fingerprint(email.as_str())),
            account,
            source,
        }
    }

    /// The bucket of the address, and that of the source.
    pub(crate) fn buckets(&self) -> [BucketId; 2] {
        let bucket =
            |kind: u128, key: u64| BucketId::from_u128(kind << 64 | u128::from(key % BUCKETS));
        let of_address = match self.account {
            Some(member) => BucketId::from(member.uuid()),
            None => bucket(1, self.address.0),
        };
        [of_address, bucket(2, self.source.bits())]
    }

    /// Refuses if the source has failed too often with this address. Returns until when only known sources are
    /// admitted, if so.
    pub(crate) fn limits(
        &self,
        [of_address, of_source]: [&Attempts; 2],
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Refusal> {
        let here = |attempt: &&Attempt| attempt.source == self.source;
        let same_address = |attempt: &&Attempt| attempt.address == self.address;
        let own = of_address.recent(now).filter(same_address).filter(here);
        if let Some(until) = reached(PER_ADDRESS_AND_SOURCE, own) {
            return Err(Refusal::TooManyAttempts { until });
        }
        let address = reached(PER_ADDRESS, of_address.recent(now).filter(same_address));
        let source = reached(PER_SOURCE, of_source.recent(now).filter(here));
        Ok(address.max(source))
    }
}

/// When the number of attempts falls below a limit, if it is reached.
fn reached<'a>(limit: usize, attempts: impl Iterator<Item = &'a Attempt>) -> Option<Timestamp> {
    let attempts: Vec<&Attempt> = attempts.collect();
    let last_that_counts = attempts.iter().rev().nth(limit.checked_sub(1)?)?;
    let at = last_that_counts.at;
    Some(at.saturating_add(WINDOW).unwrap_or(at))
}

/// A failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    address: Address,
    source: Source,
    at: Timestamp,
}

/// The recent failed attempts of a bucket, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Attempts(Vec<Attempt>);

impl Attempts {
    /// Whether there are attempts like a guess.
    pub(crate) fn contains(&self, guess: &Guess) -> bool {
        self.0.iter().any(|attempt| attempt.is_of(guess))
    }

    /// The attempts within the window. If the clock was set back, later ones are.
    fn recent(&self, now: Timestamp) -> impl Iterator<Item = &Attempt> {
        self.0
            .iter()
            .filter(move |attempt| now.duration_since(attempt.at) < WINDOW)
    }
}

impl Attempt {
    fn is_of(&self, guess: &Guess) -> bool {
        self.address == guess.address && self.source == guess.source
    }
}

/// The commands of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Counts a failed attempt.
    Count(Guess),
    /// Forgets the failed attempts on an address from a source, because one has succeeded.
    Forget(Guess),
}

/// The events of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// An attempt failed.
    Counted(Attempt),
    /// The failed attempts on an address from a source were forgotten.
    Forgotten(Guess),
}

impl Aggregate for Attempts {
    const KIND: &'static str = "failed-attempts";
    type Id = BucketId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(this: Option<&Self>, command: &Command, now: &Now) -> Result<Vec<Event>, Refusal> {
        Ok(match command {
            Command::Count(guess) => vec![Event::Counted(Attempt {
                address: guess.address,
                source: guess.source,
                at: now.at,
            })],
            Command::Forget(guess) if this.is_some_and(|all| all.contains(guess)) => {
                vec![Event::Forgotten(*guess)]
            }
            Command::Forget(_) => vec![],
        })
    }

    fn evolve(this: Option<Self>, event: &Event) -> Option<Self> {
        let Self(mut attempts) = this.unwrap_or_default();
        match event {
            Event::Counted(attempt) => {
                attempts.retain(|former| attempt.at.duration_since(former.at) < WINDOW);
                attempts.drain(..attempts.len().saturating_sub(MAX - 1));
                attempts.push(*attempt);
            }
            Event::Forgotten(guess) => attempts.retain(|attempt| !attempt.is_of(guess)),
        }
        Some(Self(attempts))
    }
}

#[cfg(test)]
mod tests;

//! What failed attempts limit, by a clock that the tests set.

use std::collections::BTreeSet;

use chassis_testing::{fold, given, noon};
use proptest::{collection::vec, prelude::*};

use super::*;

const LIMITED: fn(Timestamp) -> Option<Timestamp> = |at| Some(after(at, 15 * 60));

fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

fn guess(address: u32, source: u32) -> Guess {
    let email = format!("member{address}@example.org").parse().unwrap();
    Guess::of(&email, None, Source::named(&source.to_string()))
}

/// Both buckets of every guess in one.
#[derive(Default)]
struct Clerk(Attempts);

impl Clerk {
    fn fail(&mut self, guess: Guess, now: Timestamp) {
        let command = Command::Count(guess);
        let events = Attempts::decide(Some(&self.0), &command, &Now::at(now)).unwrap();
        self.0 = fold(Some(std::mem::take(&mut self.0)), events).unwrap();
    }

    fn limits(&self, guess: Guess, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
        guess.limits([&self.0, &self.0], now)
    }
}

#[test]
fn ten_failures_of_a_source_refuse_it_for_the_address_and_nobody_else() {
    let mut clerk = Clerk::default();
    for n in 0..10 {
        let now = after(noon(), n);
        assert_eq!(clerk.limits(guess(1, 1), now), Ok(None));
        clerk.fail(guess(1, 1), now);
    }
    let (now, until) = (after(noon(), 10), after(noon(), 15 * 60));
    let refused = Err(Refusal::TooManyAttempts { until });
    assert_eq!(clerk.limits(guess(1, 1), now), refused);
    assert_eq!(clerk.limits(guess(1, 2), now), Ok(None));
    assert_eq!(clerk.limits(guess(2, 1), now), Ok(None));
    assert_eq!(clerk.limits(guess(1, 1), until), Ok(None));
}

#[test]
fn fifty_failures_of_a_source_with_any_addresses_admit_known_sources_only() {
    let mut clerk = Clerk::default();
    for address in 0..50 {
        assert_eq!(clerk.limits(guess(address, 1), noon()), Ok(None));
        clerk.fail(guess(address, 1), noon());
    }
    assert_eq!(clerk.limits(guess(77, 1), noon()), Ok(LIMITED(noon())));
    assert_eq!(clerk.limits(guess(77, 2), noon()), Ok(None));
}

#[test]
fn a_hundred_failures_with_an_address_from_any_sources_admit_known_sources_only() {
    let mut clerk = Clerk::default();
    for source in 0..100 {
        assert_eq!(clerk.limits(guess(1, source), noon()), Ok(None));
        clerk.fail(guess(1, source), noon());
    }
    assert_eq!(clerk.limits(guess(1, 777), noon()), Ok(LIMITED(noon())));
    assert_eq!(clerk.limits(guess(2, 777), noon()), Ok(None));
}

#[test]
fn a_success_forgets_the_failures_on_the_address_from_the_source_only() {
    let (own, other) = (guess(1, 1), guess(1, 2));
    let at = noon();
    let failed = |guess: Guess| {
        Event::Counted(Attempt {
            address: guess.address,
            source: guess.source,
            at,
        })
    };
    let attempts = given::<Attempts>([failed(own), failed(other), failed(own)])
        .when(Command::Forget(own))
        .then([Event::Forgotten(own)]);
    assert_eq!(attempts.unwrap().0.len(), 1);
    given::<Attempts>([failed(other)])
        .when(Command::Forget(own))
        .then([]);
}

#[test]
fn guesses_with_one_address_or_from_one_source_share_a_bucket() {
    let [address, source] = guess(1, 1).buckets();
    assert_eq!(guess(1, 2).buckets()[0], address);
    assert_eq!(guess(2, 1).buckets()[1], source);
    let all = (0..20_000).flat_map(|n| guess(n, n).buckets());
    let all: BTreeSet<BucketId> = all.collect();
    assert!(all.len() > 8000 && all.len() <= 8192, "{}", all.len());
}

#[test]
fn an_account_shares_its_bucket_with_no_other_address() {
    let account = Guess {
        account: Some(MemberId::from_u128(1)),
        ..guess(1, 1)
    };
    let [own, source] = account.buckets();
    assert_eq!(guess(1, 1).buckets()[1], source);
    assert!((0..20_000).all(|n| guess(n, n).buckets()[0] != own));
}

proptest! {
    #[test]
    fn a_source_has_at_most_ten_failures_on_an_address_in_any_15_minutes(
        guesses in vec((0..3_u32, 0..3_u32, 0..120_i64), 0..300),
    ) {
        let (mut clerk, mut now) = (Clerk::default(), noon());
        let mut failed: Vec<(Guess, Timestamp)> = Vec::new();
        for (address, source, seconds) in guesses {
            now = after(now, seconds);
            let guess = guess(address, source);
            if clerk.limits(guess, now).is_ok() {
                clerk.fail(guess, now);
                failed.push((guess, now));
            }
            let same = failed.iter().filter(|(other, at)| *other == guess && now.duration_since(*at) < WINDOW);
            prop_assert!(same.count() <= PER_ADDRESS_AND_SOURCE);
            prop_assert!(clerk.0.0.len() <= MAX);
        }
    }

    #[test]
    fn a_bucket_keeps_the_newest_failures_and_never_more_than_its_size(
        sources in vec(0..1000_u32, 0..500),
    ) {
        let mut clerk = Clerk::default();
        for source in &sources {
            clerk.fail(guess(1, *source), noon());
        }
        let kept: Vec<Source> = clerk.0.0.iter().map(|attempt| attempt.source).collect();
        let newest = sources.iter().skip(sources.len().saturating_sub(MAX));
        let newest: Vec<Source> = newest.map(|source| guess(1, *source).source).collect();
        prop_assert_eq!(kept, newest);
    }
}

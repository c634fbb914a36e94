//! Every decision of a session.

use chassis::base::time::SignedDuration;
use chassis_testing::{Given, given, noon};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::domain::properties::token;

const HERE: SessionId = SessionId::from_u128(7);

fn days(n: i64) -> Timestamp {
    noon()
        .checked_add(SignedDuration::from_hours(24 * n))
        .unwrap()
}

fn hashes(family: u8, current: u8) -> TokenHashes {
    TokenHashes {
        family: token(family),
        current: token(current),
    }
}

fn begin() -> Begin {
    Begin {
        session: HERE,
        member: MemberId::from_u128(1),
        epoch: 0,
        token: hashes(0, 1),
        expires: days(30),
    }
}

fn refresh(family: u8, current: u8, next: u8) -> Refresh {
    Refresh {
        presented: hashes(family, current),
        next: token(next),
        expires: days(40),
        admitted: Ok(()),
    }
}

fn refreshed(from: u8, next: u8) -> Event {
    refreshed_at(from, next, noon())
}

fn refreshed_at(from: u8, next: u8, at: Timestamp) -> Event {
    Event::Refreshed {
        token: token(from),
        at,
        next: token(next),
        expires: days(40),
    }
}

fn ended() -> Event {
    Event::Ended { at: noon() }
}

fn session(events: impl IntoIterator<Item = Event>) -> Given<Session> {
    given(std::iter::once(Event::Begun(begin())).chain(events))
}

#[test]
fn a_repeated_begin_changes_nothing_and_another_token_is_refused() {
    given::<Session>([])
        .when(Command::Begin(begin()))
        .then([Event::Begun(begin())]);
    session([]).when(Command::Begin(begin())).then([]);
    let other = Begin {
        token: hashes(0, 2),
        ..begin()
    };
    session([])
        .when(Command::Begin(other))
        .refuses(&Refusal::IdReused);
}

#[test]
fn an_unused_token_is_exchanged_for_the_next() {
    session([])
        .when(Command::Refresh(refresh(0, 1, 2)))
        .then([refreshed(1, 2)]);
    session([refreshed(1, 2)])
        .when(Command::Refresh(refresh(0, 2, 3)))
        .then([refreshed(2, 3)]);
}

#[test]
fn a_token_is_exchanged_again_for_a_minute_while_its_successors_are_unused() {
    let repeat = || Command::Refresh(refresh(0, 1, 4));
    let just_in_time = REPEAT.checked_sub(SignedDuration::from_micros(1)).unwrap();
    let (in_time, late) = (noon() + just_in_time, noon() + REPEAT);
    session([refreshed(1, 2), refreshed(1, 3)])
        .at(in_time)
        .when(repeat())
        .then([refreshed_at(1, 4, in_time)]);
    // The time does not begin again with a repeat.
    session([refreshed(1, 2), refreshed_at(1, 3, in_time)])
        .at(late)
        .when(repeat())
        .then([Event::Ended { at: late }]);
}

#[test]
fn every_successor_of_a_repeated_token_can_be_exchanged_until_one_of_them_was() {
    for successor in [2, 3] {
        session([refreshed(1, 2), refreshed(1, 3)])
            .when(Command::Refresh(refresh(0, successor, 4)))
            .then([refreshed(successor, 4)]);
    }
    for former in [1, 2] {
        session([refreshed(1, 2), refreshed(1, 3), refreshed(3, 4)])
            .when(Command::Refresh(refresh(0, former, 5)))
            .then([ended()]);
    }
}

#[test]
fn a_former_token_ends_the_session() {
    let session = session([refreshed(1, 2), refreshed(2, 3)])
        .when(Command::Refresh(refresh(0, 1, 4)))
        .then([ended()])
        .unwrap();
    let revoked = revocation::key(noon(), HERE);
    assert_eq!(
        session.claims(),
        Claims::none().and("revoked-session", revoked)
    );
}

#[test]
fn after_a_reuse_every_token_is_refused() {
    let over = || session([refreshed(1, 2), refreshed(2, 3), ended()]);
    over()
        .when(Command::Refresh(refresh(0, 1, 4)))
        .refuses(&Refusal::TokenReused);
    for current in [2, 3] {
        over()
            .when(Command::Refresh(refresh(0, current, 4)))
            .refuses(&Refusal::SessionEnded);
    }
}

#[test]
fn a_session_keeps_few_unused_tokens_however_often_an_exchange_is_repeated() {
    let repeats = (2..200).map(|next| refreshed(1, next));
    let session = session(repeats)
        .when(Command::Refresh(refresh(0, 1, 200)))
        .then([refreshed(1, 200)])
        .unwrap();
    assert_eq!(session.unused.len(), MOST_UNUSED);
    assert_eq!(session.unused.last(), Some(&token(200)));
}

#[test]
fn a_token_with_another_family_does_not_end_the_session() {
    session([])
        .when(Command::Refresh(refresh(9, 9, 3)))
        .refuses(&Refusal::SessionEnded);
    session([])
        .when(Command::End(hashes(9, 1)))
        .refuses(&Refusal::SessionEnded);
}

#[test]
fn a_token_is_refused_from_its_expiry_on() {
    let exchange = || Command::Refresh(refresh(0, 1, 2));
    let before = days(30) - SignedDuration::from_micros(1);
    session([])
        .at(before)
        .when(exchange())
        .then([refreshed_at(1, 2, before)]);
    session([])
        .at(days(30))
        .when(exchange())
        .refuses(&Refusal::SessionEnded);
}

#[test]
fn a_refusal_by_the_account_is_reported_only_to_the_holder_of_a_token() {
    for refusal in [Refusal::Suspended, Refusal::SessionEnded] {
        let with = |family| {
            Command::Refresh(Refresh {
                admitted: Err(refusal),
                ..refresh(family, 1, 2)
            })
        };
        session([]).when(with(0)).refuses(&refusal);
        session([]).when(with(9)).refuses(&Refusal::SessionEnded);
    }
}

#[test]
fn every_token_of_a_session_ends_it_and_a_repeat_changes_nothing() {
    for current in [1, 2] {
        session([refreshed(1, 2)])
            .when(Command::End(hashes(0, current)))
            .then([ended()]);
        session([refreshed(1, 2), ended()])
            .when(Command::End(hashes(0, current)))
            .then([]);
    }
}

#[test]
fn a_session_that_never_began_is_refused() {
    for command in [
        Command::Refresh(refresh(0, 1, 2)),
        Command::End(hashes(0, 1)),
    ] {
        given::<Session>([])
            .when(command)
            .refuses(&Refusal::SessionEnded);
    }
    assert_eq!(Session::evolve(None, &ended()), None);
}

/// A client that keeps the latest token it was given.
struct Holder {
    token: u32,
    /// How many of its exchanges were accepted.
    accepted: usize,
}

/// A session with the clock and all tokens issued so far.
struct Game {
    session: Session,
    now: Timestamp,
    issued: u32,
}

fn numbered(n: u32) -> TokenHash {
    TokenHash(format!("token {n}"))
}

impl Game {
    fn new() -> Self {
        let token = TokenHashes {
            family: token(0),
            current: numbered(0),
        };
        let begun = Event::Begun(Begin { token, ..begin() });
        Self {
            session: Session::evolve(None, &begun).unwrap(),
            now: noon(),
            issued: 0,
        }
    }

    /// Exchanges a token after some seconds. Returns the next one, or nothing if it was refused.
    fn exchange(&mut self, current: u32, seconds: i64) -> Option<u32> {
        self.now += SignedDuration::from_secs(seconds);
        self.issued += 1;
        let command = Command::Refresh(Refresh {
            presented: TokenHashes {
                family: token(0),
                current: numbered(current),
            },
            next: numbered(self.issued),
            expires: self.now + SignedDuration::from_hours(24),
            admitted: Ok(()),
        });
        let decided = Session::decide(Some(&self.session), &command, &Now::at(self.now));
        let events = decided.unwrap_or_default();
        self.session = chassis_testing::fold(Some(self.session.clone()), events.clone()).unwrap();
        let refreshed = |event: &Event| matches!(event, Event::Refreshed { .. });
        events.iter().any(refreshed).then_some(self.issued)
    }
}

proptest! {
    /// Somebody has a copy of the owner's token, and both exchange what they have, in any order.
    #[test]
    fn of_two_holders_of_a_token_at_most_one_gets_further_than_its_successor(
        turns in vec((any::<bool>(), 0..90_i64), 1..40),
    ) {
        let mut game = Game::new();
        let mut holders = [0, 0].map(|token| Holder { token, accepted: 0 });
        for (second, seconds) in turns {
            let holder = &mut holders[usize::from(second)];
            if let Some(next) = game.exchange(holder.token, seconds) {
                holder.token = next;
                holder.accepted += 1;
            }
            let [one, other] = &holders;
            prop_assert!(one.accepted.min(other.accepted) <= 1);
        }
    }

    /// The answers of some exchanges are lost; the client repeats them within a minute.
    #[test]
    fn lost_answers_do_not_end_a_session(
        exchanges in vec((0..7_usize, 0..8_i64, 0..80_000_i64), 1..30),
    ) {
        let mut game = Game::new();
        let mut token = 0;
        for (lost, pause, later) in exchanges {
            prop_assert!(game.exchange(token, later).is_some());
            for _ in 0..lost {
                prop_assert!(game.exchange(token, pause).is_some());
            }
            token = game.issued;
        }
    }
}

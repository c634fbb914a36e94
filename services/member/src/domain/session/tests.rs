//! Every decision of a session.

use chassis::base::time::SignedDuration;
use chassis_testing::{Given, given, noon};

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

fn refreshed(next: u8) -> Event {
    Event::Refreshed {
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
fn the_current_token_is_exchanged_for_the_next() {
    session([])
        .when(Command::Refresh(refresh(0, 1, 2)))
        .then([refreshed(2)]);
    session([refreshed(2)])
        .when(Command::Refresh(refresh(0, 2, 3)))
        .then([refreshed(3)]);
}

#[test]
fn a_former_token_ends_the_session() {
    let session = session([refreshed(2)])
        .when(Command::Refresh(refresh(0, 1, 3)))
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
    let over = || session([refreshed(2), ended()]);
    over()
        .when(Command::Refresh(refresh(0, 1, 3)))
        .refuses(&Refusal::TokenReused);
    over()
        .when(Command::Refresh(refresh(0, 2, 3)))
        .refuses(&Refusal::SessionEnded);
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
    let before = days(30).checked_sub(SignedDuration::from_micros(1));
    session([])
        .at(before.unwrap())
        .when(exchange())
        .then([refreshed(2)]);
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
        session([refreshed(2)])
            .when(Command::End(hashes(0, current)))
            .then([ended()]);
        session([refreshed(2), ended()])
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

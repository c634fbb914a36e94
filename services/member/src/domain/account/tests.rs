//! Every decision about an account.

use chassis_testing::{Given, given, noon};

use super::*;
use crate::domain::properties::{hash, proof, roles};

const ANN: MemberId = MemberId::from_u128(1);
const HERE: SessionId = SessionId::from_u128(7);

fn later(micros: i64) -> Timestamp {
    noon()
        .checked_add(SignedDuration::from_micros(micros))
        .unwrap()
}

fn join() -> Join {
    Join {
        member: ANN,
        email: "ann@example.org".parse().unwrap(),
        display_name: "Ann".into(),
        roles: roles(&[Role::Customer]),
        password: Password::New(hash(1)),
    }
}

fn again(good: bool) -> Command {
    Command::Join(Join {
        password: Password::Again(proof(1, good)),
        ..join()
    })
}

fn joined() -> Event {
    Event::Joined {
        member: ANN,
        email: "ann@example.org".parse().unwrap(),
        display_name: "Ann".into(),
        roles: roles(&[Role::Customer]),
        password: hash(1),
    }
}

fn wrong() -> Event {
    Event::WrongPassword { at: noon() }
}

fn suspended() -> Event {
    Event::Suspended {
        tokens_valid_from: later(1),
    }
}

fn change(old: bool, is_set: bool) -> Command {
    Command::ChangePassword(NewPassword {
        old: proof(1, old),
        is_set,
        new: hash(2),
        keep: Some(HERE),
    })
}

fn ann(events: impl IntoIterator<Item = Event>) -> Given<Account> {
    given(std::iter::once(joined()).chain(events))
}

fn shut() -> Given<Account> {
    ann((0..10).map(|_| wrong()))
}

fn too_many() -> Refusal {
    Refusal::TooManyAttempts {
        until: later(900_000_000),
    }
}

#[test]
fn somebody_new_joins() {
    let account = given::<Account>([])
        .when(Command::Join(join()))
        .then([joined()]);
    let claims = account.unwrap().claims();
    assert_eq!(claims, Claims::none().and("email", "ann@example.org"));
}

#[test]
fn an_address_belongs_to_one() {
    given::<Account>([])
        .taken("email", "ann@example.org")
        .when(Command::Join(join()))
        .refuses(&Refusal::EmailTaken);
}

#[test]
fn only_its_own_address_is_looked_at() {
    let looks = Account::claim_ranges(None, &Command::Join(join()));
    let [look] = looks.as_slice() else {
        panic!("{looks:?}")
    };
    let holds = |key: &str| look.from.as_str() <= key && key < look.to.as_str();
    assert!(holds("ann@example.org"));
    assert!(!holds("ann@example.or"));
    assert!(!holds("ann@example.org.uk"));
}

#[test]
fn nobody_joins_with_a_password_that_was_checked_against_nothing() {
    given::<Account>([])
        .when(again(true))
        .refuses(&Refusal::Raced);
}

#[test]
fn joining_twice_with_the_same_content_changes_nothing() {
    ann([]).when(again(true)).then([]);
    let host = Event::RolesSet {
        roles: roles(&[Role::Host]),
        tokens_valid_from: later(1),
    };
    ann([host]).when(again(true)).then([]);
}

#[test]
fn a_repeat_with_another_password_is_counted() {
    ann([]).when(again(false)).then([wrong()]);
    shut().when(again(true)).refuses(&too_many());
}

#[test]
fn an_id_stands_for_one_member() {
    let others = [
        Join {
            email: "bob@example.org".parse().unwrap(),
            ..join()
        },
        Join {
            display_name: "Bob".into(),
            ..join()
        },
        Join {
            roles: roles(&[Role::Host]),
            ..join()
        },
    ];
    for other in others {
        ann([])
            .when(Command::Join(other))
            .refuses(&Refusal::IdReused);
    }
}

#[test]
fn of_two_who_join_at_once_the_second_looks_again() {
    ann([]).when(Command::Join(join())).refuses(&Refusal::Raced);
}

#[test]
fn nobody_else_is_known() {
    let commands = [
        Command::SignIn(proof(1, true)),
        change(true, false),
        Command::SetRoles(roles(&[Role::Host])),
        Command::Suspend(true),
    ];
    for command in commands {
        given::<Account>([])
            .when(command)
            .refuses(&Refusal::Unknown);
    }
}

#[test]
fn the_right_password_lets_in() {
    ann([]).when(Command::SignIn(proof(1, true))).then([]);
}

#[test]
fn the_right_password_forgives_wrong_ones() {
    let account = ann([wrong()])
        .when(Command::SignIn(proof(1, true)))
        .then([Event::SignedIn]);
    assert!(account.unwrap().attempts.is_empty());
}

#[test]
fn a_wrong_password_is_counted() {
    ann([])
        .when(Command::SignIn(proof(1, false)))
        .then([wrong()]);
}

#[test]
fn after_ten_wrong_passwords_even_the_right_one_is_not_listened_to() {
    for good in [false, true] {
        shut()
            .when(Command::SignIn(proof(1, good)))
            .refuses(&too_many());
    }
    shut()
        .at(later(900_000_000))
        .when(Command::SignIn(proof(1, true)))
        .then([Event::SignedIn]);
}

#[test]
fn a_password_that_was_changed_meanwhile_proves_nothing() {
    ann([])
        .when(Command::SignIn(proof(2, true)))
        .refuses(&Refusal::Raced);
}

#[test]
fn who_is_shut_out_cannot_sign_in() {
    ann([suspended()])
        .when(Command::SignIn(proof(1, true)))
        .refuses(&Refusal::Suspended);
    ann([suspended()])
        .when(Command::SignIn(proof(1, false)))
        .then([wrong()]);
}

#[test]
fn a_new_password_ends_all_sessions_but_one() {
    let account = ann([wrong()])
        .when(change(true, false))
        .then([Event::PasswordChanged {
            password: hash(2),
            keep: Some(HERE),
            tokens_valid_from: later(1),
        }])
        .unwrap();
    assert_eq!(account.admits(HERE, 0), Ok(()));
    assert_eq!(
        account.admits(SessionId::from_u128(8), 0),
        Err(Refusal::SessionEnded)
    );
    assert_eq!(account.admits(SessionId::from_u128(8), 1), Ok(()));
    assert!(account.attempts.is_empty());
}

#[test]
fn a_repeated_change_of_the_password_changes_nothing() {
    ann([]).when(change(false, true)).then([]);
}

#[test]
fn a_wrong_old_password_is_counted() {
    ann([]).when(change(false, false)).then([wrong()]);
    shut().when(change(true, false)).refuses(&too_many());
    shut().when(change(false, true)).refuses(&too_many());
}

#[test]
fn new_roles_end_the_tokens_with_the_former_ones() {
    let host = roles(&[Role::Host, Role::Admin]);
    let account = ann([])
        .when(Command::SetRoles(host.clone()))
        .then([Event::RolesSet {
            roles: host,
            tokens_valid_from: later(1),
        }])
        .unwrap();
    assert_eq!(account.admits(HERE, 0), Ok(()));
    let revoked = revocation::key(later(1), ANN);
    let claims = Claims::none().and("email", "ann@example.org");
    assert_eq!(account.claims(), claims.and("revoked-member", revoked));
}

#[test]
fn the_same_roles_again_change_nothing() {
    ann([])
        .when(Command::SetRoles(roles(&[Role::Customer])))
        .then([]);
}

#[test]
fn who_is_shut_out_has_no_session_any_more() {
    let account = ann([])
        .when(Command::Suspend(true))
        .then([suspended()])
        .unwrap();
    assert_eq!(account.admits(HERE, 0), Err(Refusal::Suspended));
    let account = ann([suspended()])
        .when(Command::Suspend(false))
        .then([Event::Readmitted])
        .unwrap();
    assert_eq!(account.admits(HERE, 0), Err(Refusal::SessionEnded));
    assert_eq!(account.admits(HERE, 1), Ok(()));
}

#[test]
fn shutting_out_twice_changes_nothing() {
    ann([suspended()]).when(Command::Suspend(true)).then([]);
    ann([]).when(Command::Suspend(false)).then([]);
}

#[test]
fn a_token_issued_after_a_revocation_is_never_older_than_it() {
    let (account, _) = ann([]).when(Command::Suspend(true)).happens();
    let account = account.unwrap();
    let from = account.tokens_valid_from.unwrap();
    assert!(from > noon());
    for at in [later(-1_000_000), noon(), later(1), later(1_000_000)] {
        assert!(account.issue_time(at) >= from);
    }
    // The clock stands still or is turned back: the next revocation is later all the same.
    let next = account.next_valid_from(&Now::at(later(-1_000_000)));
    assert!(next > account.issue_time(noon()));
}

#[test]
fn no_event_but_the_first_makes_an_account() {
    assert_eq!(Account::evolve(None, &Event::SignedIn), None);
    let account = Account::evolve(None, &joined());
    assert_eq!(Account::evolve(account, &joined()), None);
}

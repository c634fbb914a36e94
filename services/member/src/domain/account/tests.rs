//! Every decision of an account.

use chassis_testing::{Given, given, noon};

use super::*;
use crate::domain::properties::{check, hash, roles};

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
        password: JoinPassword::New(hash(1)),
    }
}

fn repeated(matches: bool) -> Command {
    Command::Join(Join {
        password: JoinPassword::Repeated(check(1, matches)),
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

fn change(old: bool, is_current: bool) -> Command {
    Command::ChangePassword(NewPassword {
        old: check(1, old),
        is_current,
        new: hash(2),
        keep: Some(HERE),
    })
}

fn ann(events: impl IntoIterator<Item = Event>) -> Given<Account> {
    given(std::iter::once(joined()).chain(events))
}

fn locked() -> Given<Account> {
    ann((0..10).map(|_| wrong()))
}

fn too_many() -> Refusal {
    Refusal::TooManyAttempts {
        until: later(900_000_000),
    }
}

#[test]
fn a_join_creates_an_account_and_claims_its_email_address() {
    let account = given::<Account>([])
        .when(Command::Join(join()))
        .then([joined()]);
    let claims = account.unwrap().claims();
    assert_eq!(claims, Claims::none().and("email", "ann@example.org"));
}

#[test]
fn an_email_address_in_use_is_refused() {
    given::<Account>([])
        .taken("email", "ann@example.org")
        .when(Command::Join(join()))
        .refuses(&Refusal::EmailTaken);
}

#[test]
fn a_join_reads_the_claim_of_its_own_email_address_only() {
    let ranges = Account::claim_ranges(None, &Command::Join(join()));
    let [range] = ranges.as_slice() else {
        panic!("{ranges:?}")
    };
    let holds = |key: &str| range.from.as_str() <= key && key < range.to.as_str();
    assert!(holds("ann@example.org"));
    assert!(!holds("ann@example.or"));
    assert!(!holds("ann@example.org.uk"));
}

#[test]
fn a_repeated_join_conflicts_if_there_is_no_account() {
    given::<Account>([])
        .when(repeated(true))
        .refuses(&Refusal::Conflict);
}

#[test]
fn a_repeated_join_with_the_same_content_changes_nothing() {
    ann([]).when(repeated(true)).then([]);
    let host = Event::RolesSet {
        roles: roles(&[Role::Host]),
        tokens_valid_from: later(1),
    };
    ann([host]).when(repeated(true)).then([]);
}

#[test]
fn a_repeated_join_with_a_wrong_password_counts_as_an_attempt() {
    ann([]).when(repeated(false)).then([wrong()]);
    locked().when(repeated(true)).refuses(&too_many());
}

#[test]
fn a_repeated_join_with_other_content_is_refused() {
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
fn a_first_join_conflicts_if_there_is_an_account() {
    ann([])
        .when(Command::Join(join()))
        .refuses(&Refusal::Conflict);
}

#[test]
fn every_command_but_a_join_needs_an_account() {
    let commands = [
        Command::SignIn(check(1, true)),
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
fn a_sign_in_with_the_right_password_changes_nothing() {
    ann([]).when(Command::SignIn(check(1, true))).then([]);
}

#[test]
fn a_sign_in_with_the_right_password_resets_the_failed_attempts() {
    let account = ann([wrong()])
        .when(Command::SignIn(check(1, true)))
        .then([Event::SignedIn]);
    assert!(account.unwrap().attempts.is_empty());
}

#[test]
fn a_sign_in_with_a_wrong_password_counts_as_an_attempt() {
    ann([])
        .when(Command::SignIn(check(1, false)))
        .then([wrong()]);
}

#[test]
fn ten_wrong_passwords_lock_the_account_for_15_minutes() {
    for matches in [false, true] {
        locked()
            .when(Command::SignIn(check(1, matches)))
            .refuses(&too_many());
    }
    locked()
        .at(later(900_000_000))
        .when(Command::SignIn(check(1, true)))
        .then([Event::SignedIn]);
}

#[test]
fn a_check_against_a_former_password_conflicts() {
    ann([])
        .when(Command::SignIn(check(2, true)))
        .refuses(&Refusal::Conflict);
}

#[test]
fn a_suspended_member_cannot_sign_in_and_wrong_passwords_still_count() {
    ann([suspended()])
        .when(Command::SignIn(check(1, true)))
        .refuses(&Refusal::Suspended);
    ann([suspended()])
        .when(Command::SignIn(check(1, false)))
        .then([wrong()]);
}

#[test]
fn a_password_change_ends_all_sessions_but_the_one_to_keep() {
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
fn a_repeated_password_change_changes_nothing() {
    ann([]).when(change(false, true)).then([]);
}

#[test]
fn a_password_change_with_a_wrong_old_password_counts_as_an_attempt() {
    ann([]).when(change(false, false)).then([wrong()]);
    locked().when(change(true, false)).refuses(&too_many());
    locked().when(change(false, true)).refuses(&too_many());
}

#[test]
fn new_roles_revoke_earlier_access_tokens_and_keep_sessions() {
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
fn setting_the_same_roles_changes_nothing() {
    ann([])
        .when(Command::SetRoles(roles(&[Role::Customer])))
        .then([]);
}

#[test]
fn a_suspension_ends_all_sessions_for_good() {
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
fn a_repeated_suspension_changes_nothing() {
    ann([suspended()]).when(Command::Suspend(true)).then([]);
    ann([]).when(Command::Suspend(false)).then([]);
}

#[test]
fn a_token_issued_after_a_revocation_has_a_later_issue_time() {
    let (account, _) = ann([]).when(Command::Suspend(true)).happens();
    let account = account.unwrap();
    let from = account.tokens_valid_from.unwrap();
    assert!(from > noon());
    for at in [later(-1_000_000), noon(), later(1), later(1_000_000)] {
        assert!(account.issue_time(at) >= from);
    }
    // The next revocation is later even if the clock was set back.
    let next = account.next_valid_from(&Now::at(later(-1_000_000)));
    assert!(next > account.issue_time(noon()));
}

#[test]
fn an_account_evolves_from_joined_exactly_once() {
    assert_eq!(Account::evolve(None, &Event::SignedIn), None);
    let account = Account::evolve(None, &joined());
    assert_eq!(Account::evolve(account, &joined()), None);
}

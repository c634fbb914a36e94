//! Every decision of an account.

use chassis_testing::{Given, given, noon};

use super::*;
use crate::domain::properties::{check, given_password, hash, home, roles};

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
        source: home(),
    }
}

fn repeated(matches: bool) -> Command {
    Command::Join(Join {
        password: JoinPassword::Repeated(given_password(1, matches)),
        ..join()
    })
}

fn sign_in(matches: bool, source: Source, limited_until: Option<Timestamp>) -> Command {
    Command::SignIn(GivenPassword {
        check: check(1, matches),
        source,
        limited_until,
    })
}

fn elsewhere(n: usize) -> Source {
    Source::named(&format!("elsewhere {n}"))
}

fn joined() -> Event {
    Event::Joined {
        member: ANN,
        email: "ann@example.org".parse().unwrap(),
        display_name: "Ann".into(),
        roles: roles(&[Role::Customer]),
        password: hash(1),
        source: home(),
    }
}

fn suspended() -> Event {
    Event::Suspended {
        tokens_valid_from: later(1),
    }
}

fn change(old: bool) -> Command {
    Command::ChangePassword(NewPassword {
        old: check(1, old),
        source: elsewhere(1),
        new: hash(2),
        keep: Some(HERE),
    })
}

fn ann(events: impl IntoIterator<Item = Event>) -> Given<Account> {
    given(std::iter::once(joined()).chain(events))
}

fn too_many() -> Refusal {
    Refusal::TooManyAttempts { until: later(1) }
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
fn a_repeated_join_with_a_wrong_password_is_a_failed_attempt() {
    ann([])
        .when(repeated(false))
        .refuses(&Refusal::BadCredentials);
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
        sign_in(true, home(), None),
        change(true),
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
fn a_sign_in_with_the_right_password_from_a_known_source_changes_nothing() {
    ann([]).when(sign_in(true, home(), None)).then([]);
}

#[test]
fn a_sign_in_with_the_right_password_makes_its_source_known() {
    let source = elsewhere(1);
    let account = ann([])
        .when(sign_in(true, source, None))
        .then([Event::SignedIn { source }]);
    assert!(account.unwrap().is_known(source));
}

#[test]
fn the_eight_newest_sources_are_known() {
    let all = (0..20).map(|n| Event::SignedIn {
        source: elsewhere(n),
    });
    let (account, _) = ann(all).when(Command::Suspend(true)).happens();
    let account = account.unwrap();
    let known = (0..20).filter(|n| account.is_known(elsewhere(*n)));
    assert!(known.eq(12..20));
    assert!(!account.is_known(home()));
}

#[test]
fn a_sign_in_with_a_wrong_password_is_a_failed_attempt() {
    for source in [home(), elsewhere(1)] {
        ann([])
            .when(sign_in(false, source, None))
            .refuses(&Refusal::BadCredentials);
    }
}

#[test]
fn after_failed_attempts_of_others_the_right_password_is_admitted_from_a_known_source_only() {
    let limited = Some(later(1));
    ann([]).when(sign_in(true, home(), limited)).then([]);
    for (matches, source) in [(false, home()), (true, elsewhere(1)), (false, elsewhere(1))] {
        ann([])
            .when(sign_in(matches, source, limited))
            .refuses(&too_many());
    }
}

#[test]
fn a_check_against_a_former_password_conflicts() {
    ann([])
        .when(Command::SignIn(given_password(2, true)))
        .refuses(&Refusal::Conflict);
}

#[test]
fn a_suspended_member_cannot_sign_in_and_wrong_passwords_still_count() {
    ann([suspended()])
        .when(sign_in(true, home(), None))
        .refuses(&Refusal::Suspended);
    ann([suspended()])
        .when(sign_in(false, home(), None))
        .refuses(&Refusal::BadCredentials);
}

#[test]
fn a_password_change_ends_all_sessions_but_the_one_to_keep() {
    let account = ann([])
        .when(change(true))
        .then([Event::PasswordChanged {
            password: hash(2),
            source: elsewhere(1),
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
}

#[test]
fn after_a_password_change_only_its_own_source_is_known() {
    let (account, _) = ann([]).when(change(true)).happens();
    let account = account.unwrap();
    assert!(account.is_known(elsewhere(1)) && !account.is_known(home()));
}

#[test]
fn a_password_change_with_a_wrong_old_password_is_a_failed_attempt() {
    ann([])
        .when(change(false))
        .refuses(&Refusal::BadCredentials);
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
    assert_eq!(Account::evolve(None, &Event::Readmitted), None);
    let account = Account::evolve(None, &joined());
    assert_eq!(Account::evolve(account, &joined()), None);
}

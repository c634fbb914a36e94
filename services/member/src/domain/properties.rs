//! What holds for accounts and sessions after any sequence of commands.

use std::{collections::BTreeSet, fmt::Debug};

use chassis::{Aggregate, Claims, MemberId, Now, Timestamp, base::time::SignedDuration};
use chassis_testing::{fold, noon};
use proptest::{collection::vec, prelude::*};

use super::{
    Refusal,
    account::{
        self, Account,
        Command::{SetRoles, Suspend},
        GivenPassword, Join, JoinPassword, NewPassword,
    },
    revocation,
    session::{self, Begin, Refresh, Session, TokenHashes},
    source::Source,
    values::{PasswordCheck, PasswordHash, Role, SessionId, TokenHash},
};

pub(crate) fn hash(n: u8) -> PasswordHash {
    PasswordHash(format!("canary {n}"))
}

pub(crate) fn token(n: u8) -> TokenHash {
    TokenHash(format!("canary {n}"))
}

pub(crate) fn check(against: u8, matches: bool) -> PasswordCheck {
    PasswordCheck {
        against: hash(against),
        matches,
    }
}

pub(crate) fn home() -> Source {
    Source::named("home")
}

pub(crate) fn given_password(against: u8, matches: bool) -> GivenPassword {
    GivenPassword {
        check: check(against, matches),
        source: home(),
        limited_until: None,
    }
}

pub(crate) fn roles(roles: &[Role]) -> BTreeSet<Role> {
    roles.iter().copied().collect()
}

/// Commands, each with the seconds since the one before. Negative if the clock is set back.
type Commands<C> = Vec<(C, i64)>;

/// Executes the commands and checks what holds after each. Returns the states after the accepted commands.
fn execute<A: Aggregate<Command: Debug>>(commands: Commands<A::Command>) -> Vec<(Timestamp, A)> {
    let (mut now, mut state, mut events) = (noon(), None::<A>, Vec::new());
    let mut states = Vec::new();
    for (command, seconds) in commands {
        now = now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        let at = Now::at(now);
        let Ok(decided) = A::decide(state.as_ref(), &command, &at) else {
            continue;
        };
        let shown = format!("{command:?} {decided:?}");
        assert!(!shown.contains("canary"), "{shown}");
        events.extend(decided.clone());
        state = fold(state, decided);
        assert_eq!(state, fold(None, events.clone()));
        let current = state.clone().unwrap();
        assert!(!format!("{current:?}").contains("canary"));
        let stored = serde_json::to_string(&current).unwrap();
        assert_eq!(current, serde_json::from_str(&stored).unwrap());
        states.push((now, current));
    }
    states
}

fn a_role() -> impl Strategy<Value = BTreeSet<Role>> {
    let role = prop_oneof![Just(Role::Customer), Just(Role::Host), Just(Role::Admin)];
    proptest::collection::btree_set(role, 1..3)
}

fn a_check() -> impl Strategy<Value = PasswordCheck> {
    (0..3_u8, any::<bool>()).prop_map(|(against, matches)| check(against, matches))
}

fn a_given_password() -> impl Strategy<Value = GivenPassword> {
    (a_check(), 0..10_u8, any::<bool>()).prop_map(|(check, source, is_limited)| GivenPassword {
        check,
        source: Source::named(&source.to_string()),
        limited_until: is_limited.then(noon),
    })
}

fn an_account_command() -> impl Strategy<Value = account::Command> {
    use account::Command;
    let password = prop_oneof![
        (0..3_u8).prop_map(|n| JoinPassword::New(hash(n))),
        a_given_password().prop_map(JoinPassword::Repeated)
    ];
    let join = (password, a_role()).prop_map(|(password, roles)| {
        Command::Join(Join {
            member: MemberId::from_u128(1),
            email: "ann@example.org".parse().unwrap(),
            display_name: "Ann".into(),
            roles,
            password,
            source: home(),
        })
    });
    let change = (a_check(), 0..3_u8, any::<bool>());
    let change = change.prop_map(|(old, new, keep)| {
        Command::ChangePassword(NewPassword {
            old,
            source: home(),
            new: hash(new),
            keep: keep.then(|| SessionId::from_u128(7)),
        })
    });
    prop_oneof![
        2 => join,
        8 => a_given_password().prop_map(Command::SignIn),
        2 => change,
        2 => a_role().prop_map(Command::SetRoles),
        2 => any::<bool>().prop_map(Command::Suspend),
    ]
}

fn token_hashes() -> impl Strategy<Value = TokenHashes> {
    (0..2_u8, 0..5_u8).prop_map(|(family, current)| TokenHashes {
        family: token(family),
        current: token(current),
    })
}

fn later(seconds: i64) -> Timestamp {
    noon()
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap()
}

fn a_session_command() -> impl Strategy<Value = session::Command> {
    use session::Command;
    let begin = (token_hashes(), 0..9000_i64).prop_map(|(token, expires)| {
        Command::Begin(Begin {
            session: SessionId::from_u128(7),
            member: MemberId::from_u128(1),
            epoch: 0,
            token,
            expires: later(expires),
        })
    });
    let admitted = prop_oneof![4 => Just(Ok(())), 1 => Just(Err(Refusal::Suspended))];
    let refresh = (token_hashes(), 0..5_u8, 0..9000_i64, admitted);
    let refresh = refresh.prop_map(|(presented, next, expires, admitted)| {
        Command::Refresh(Refresh {
            presented,
            next: token(next),
            expires: later(expires),
            admitted,
        })
    });
    prop_oneof![2 => begin, 6 => refresh, 1 => token_hashes().prop_map(Command::End)]
}

fn commands<C: Debug>(command: impl Strategy<Value = C>) -> impl Strategy<Value = Commands<C>> {
    vec((command, -60..300_i64), 0..60)
}

proptest! {
    #[test]
    fn a_change_of_roles_or_epoch_revokes_exactly_the_earlier_tokens(
        commands in commands(an_account_command()),
    ) {
        let states = execute::<Account>(commands);
        for pair in states.windows(2) {
            let [(_, before), (now, after)] = pair else { continue };
            prop_assert!(after.tokens_valid_from >= before.tokens_valid_from);
            prop_assert!(after.epoch >= before.epoch);
            let revokes = after.roles != before.roles || after.epoch > before.epoch;
            if revokes {
                // The revocation separates tokens issued before from tokens issued after.
                prop_assert!(before.issue_time(*now) < after.tokens_valid_from.unwrap());
                prop_assert!(after.issue_time(*now) >= after.tokens_valid_from.unwrap());
            }
            prop_assert!(after.claims().iter().any(|claim| claim == ("email", "ann@example.org")));
        }
    }

    #[test]
    fn an_ended_session_stays_ended_and_claims_its_revocation(
        commands in commands(a_session_command()),
    ) {
        let states = execute::<Session>(commands);
        let mut ended = false;
        for (_, session) in states {
            let claims = session.claims();
            let revoked = claims.iter().any(|(scope, _)| scope == revocation::SESSIONS);
            prop_assert!(revoked || !ended, "an ended session continues");
            prop_assert_eq!(revoked, claims != Claims::none());
            ended = revoked;
        }
    }

    #[test]
    fn repeated_roles_and_suspensions_change_nothing(
        commands in commands(an_account_command()),
        last in an_account_command(),
    ) {
        let Some((now, state)) = execute::<Account>(commands).pop() else { return Ok(()) };
        let (SetRoles(_) | Suspend(_)) = last else { return Ok(()) };
        let once = Account::decide(Some(&state), &last, &Now::at(now)).unwrap();
        let after = fold(Some(state), once);
        prop_assert_eq!(Account::decide(after.as_ref(), &last, &Now::at(now)), Ok(vec![]));
    }
}

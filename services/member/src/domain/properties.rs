//! What holds whatever is told to accounts and sessions, in whatever order.

use std::{collections::BTreeSet, fmt::Debug};

use chassis::{Aggregate, Claims, MemberId, Now, Timestamp, base::time::SignedDuration};
use chassis_testing::{fold, noon};
use proptest::{collection::vec, prelude::*};

use super::{
    Refusal,
    account::{
        self, Account,
        Command::{SetRoles, Suspend},
        Join, NewPassword, Password,
    },
    revocation,
    session::{self, Begin, Refresh, Session, Ticket},
    values::{PasswordHash, Proof, Role, SessionId, TokenHash},
};

pub(crate) fn hash(n: u8) -> PasswordHash {
    PasswordHash(format!("canary {n}"))
}

pub(crate) fn token(n: u8) -> TokenHash {
    TokenHash(format!("canary {n}"))
}

pub(crate) fn proof(against: u8, good: bool) -> Proof {
    Proof {
        against: hash(against),
        good,
    }
}

pub(crate) fn roles(roles: &[Role]) -> BTreeSet<Role> {
    roles.iter().copied().collect()
}

/// A command, and how much later than the one before it comes; clocks may be turned back.
type Told<C> = Vec<(C, i64)>;

/// Tells an aggregate everything, and checks what always holds; answers every state after a change.
fn tell<A: Aggregate<Command: Debug>>(told: Told<A::Command>) -> Vec<(Timestamp, A)> {
    let (mut now, mut state, mut events) = (noon(), None::<A>, Vec::new());
    let mut states = Vec::new();
    for (command, seconds) in told {
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
        let kept = state.clone().unwrap();
        assert!(!format!("{kept:?}").contains("canary"));
        let stored = serde_json::to_string(&kept).unwrap();
        assert_eq!(kept, serde_json::from_str(&stored).unwrap());
        states.push((now, kept));
    }
    states
}

fn a_role() -> impl Strategy<Value = BTreeSet<Role>> {
    let role = prop_oneof![Just(Role::Customer), Just(Role::Host), Just(Role::Admin)];
    proptest::collection::btree_set(role, 1..3)
}

fn a_proof() -> impl Strategy<Value = Proof> {
    (0..3_u8, any::<bool>()).prop_map(|(against, good)| proof(against, good))
}

fn an_account_command() -> impl Strategy<Value = account::Command> {
    use account::Command;
    let password = prop_oneof![
        (0..3_u8).prop_map(|n| Password::New(hash(n))),
        a_proof().prop_map(Password::Again)
    ];
    let join = (password, a_role()).prop_map(|(password, roles)| {
        Command::Join(Join {
            member: MemberId::from_u128(1),
            email: "ann@example.org".parse().unwrap(),
            display_name: "Ann".into(),
            roles,
            password,
        })
    });
    let change = (a_proof(), any::<bool>(), 0..3_u8, any::<bool>());
    let change = change.prop_map(|(old, is_set, new, keep)| {
        Command::ChangePassword(NewPassword {
            old,
            is_set,
            new: hash(new),
            keep: keep.then(|| SessionId::from_u128(7)),
        })
    });
    prop_oneof![
        2 => join,
        8 => a_proof().prop_map(Command::SignIn),
        2 => change,
        2 => a_role().prop_map(Command::SetRoles),
        2 => any::<bool>().prop_map(Command::Suspend),
    ]
}

fn a_ticket() -> impl Strategy<Value = Ticket> {
    (0..2_u8, 0..5_u8).prop_map(|(family, current)| Ticket {
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
    let begin = (a_ticket(), 0..9000_i64).prop_map(|(token, expires)| {
        Command::Begin(Begin {
            session: SessionId::from_u128(7),
            member: MemberId::from_u128(1),
            epoch: 0,
            token,
            expires: later(expires),
        })
    });
    let admitted = prop_oneof![4 => Just(Ok(())), 1 => Just(Err(Refusal::Suspended))];
    let refresh = (a_ticket(), 0..5_u8, 0..9000_i64, admitted);
    let refresh = refresh.prop_map(|(shown, next, expires, admitted)| {
        Command::Refresh(Refresh {
            shown,
            next: token(next),
            expires: later(expires),
            admitted,
        })
    });
    prop_oneof![2 => begin, 6 => refresh, 1 => a_ticket().prop_map(Command::End)]
}

fn told<C: Debug>(command: impl Strategy<Value = C>) -> impl Strategy<Value = Told<C>> {
    vec((command, -60..300_i64), 0..60)
}

proptest! {
    #[test]
    fn an_account_keeps_its_word(told in told(an_account_command())) {
        let states = tell::<Account>(told);
        for pair in states.windows(2) {
            let [(_, before), (now, after)] = pair else { continue };
            prop_assert!(after.tokens_valid_from >= before.tokens_valid_from);
            prop_assert!(after.epoch >= before.epoch);
            let revokes = after.roles != before.roles || after.epoch > before.epoch;
            if revokes {
                // Every token issued before is told from every token issued after.
                prop_assert!(before.issue_time(*now) < after.tokens_valid_from.unwrap());
                prop_assert!(after.issue_time(*now) >= after.tokens_valid_from.unwrap());
            }
            prop_assert!(after.claims().iter().any(|claim| claim == ("email", "ann@example.org")));
        }
    }

    #[test]
    fn no_more_than_ten_wrong_passwords_are_listened_to(seconds in vec(0..200_i64, 0..60)) {
        let join = account::Command::Join(Join {
            member: MemberId::from_u128(1),
            email: "ann@example.org".parse().unwrap(),
            display_name: "Ann".into(),
            roles: roles(&[Role::Customer]),
            password: Password::New(hash(1)),
        });
        let guess = account::Command::SignIn(proof(1, false));
        let guesses = seconds.into_iter().map(|seconds| (guess.clone(), seconds));
        let states = tell::<Account>(std::iter::once((join, 0)).chain(guesses).collect());
        let heard: Vec<Timestamp> = states.into_iter().skip(1).map(|(at, _)| at).collect();
        for eleven in heard.windows(11) {
            let window = eleven[10].duration_since(eleven[0]);
            prop_assert!(window >= SignedDuration::from_mins(15));
        }
    }

    #[test]
    fn a_session_keeps_its_word(told in told(a_session_command())) {
        let states = tell::<Session>(told);
        let mut over = false;
        for (_, session) in states {
            let claims = session.claims();
            let revoked = claims.iter().any(|(scope, _)| scope == revocation::SESSIONS);
            prop_assert!(revoked || !over, "an ended session goes on");
            prop_assert_eq!(revoked, claims != Claims::none());
            over = revoked;
        }
    }

    #[test]
    fn a_repeat_changes_nothing(told in told(an_account_command()), last in an_account_command()) {
        let Some((now, state)) = tell::<Account>(told).pop() else { return Ok(()) };
        let (SetRoles(_) | Suspend(_)) = last else { return Ok(()) };
        let once = Account::decide(Some(&state), &last, &Now::at(now)).unwrap();
        let after = fold(Some(state), once);
        prop_assert_eq!(Account::decide(after.as_ref(), &last, &Now::at(now)), Ok(vec![]));
    }
}

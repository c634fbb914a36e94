//! Whatever is commanded, in whatever order.

use chassis::{Aggregate, MemberId, Now, base::time::SignedDuration};
use chassis_testing::noon;
use proptest::prelude::*;

use super::{Command, Message, message::ATTEMPTS, tests::tell};

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        Just(tell()),
        Just(Command::EmailDelivered),
        ("[A-Z_]{0,8}", any::<bool>())
            .prop_map(|(reason, permanent)| Command::EmailFailed { reason, permanent }),
        Just(Command::AddressUnknown),
        Just(Command::LeaveEmailOut),
        (1_u128..3).prop_map(|member| Command::MarkRead {
            by: MemberId::from_u128(member)
        }),
    ]
}

proptest! {
    #[test]
    fn a_state_is_the_fold_of_its_events(commands in prop::collection::vec((command(), 0_i64..4000), 0..40)) {
        let mut state: Option<Message> = None;
        let mut now = noon();
        for (command, seconds) in commands {
            now = now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
            let Ok(events) = Message::decide(state.as_ref(), &command, &Now::at(now)) else {
                continue;
            };
            let settled = state.as_ref().is_some_and(|message| message.due().is_none());
            for event in events {
                state = Message::evolve(state, &event);
                prop_assert!(state.is_some());
            }
            let message = state.clone().unwrap();
            // What is settled is so for good.
            prop_assert!(message.due().is_none() || !settled);
            let kept = serde_json::to_string(&message).unwrap();
            prop_assert_eq!(serde_json::from_str::<Message>(&kept).unwrap(), message);
            // To tell again and to read again change nothing.
            if matches!(command, Command::Notify { .. } | Command::MarkRead { .. }) {
                prop_assert_eq!(Message::decide(state.as_ref(), &command, &Now::at(now)), Ok(vec![]));
            }
        }
    }

    #[test]
    fn an_email_that_is_never_sent_is_given_up(permanent in prop::collection::vec(any::<bool>(), ATTEMPTS as usize)) {
        let mut state = Message::decide(None, &tell(), &Now::at(noon())).unwrap().iter()
            .fold(None, Message::evolve);
        for permanent in permanent {
            let failed = Command::EmailFailed { reason: "X".into(), permanent };
            for event in Message::decide(state.as_ref(), &failed, &Now::at(noon())).unwrap() {
                state = Message::evolve(state, &event);
            }
        }
        prop_assert_eq!(state.unwrap().due(), None);
    }
}

//! Do the rules hold for all commands in all orders?

use chassis::{Aggregate, Now};
use proptest::prelude::*;

use super::*;

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(yes()), Just(no())]
}

fn why() -> impl Strategy<Value = Why> {
    prop_oneof![Just(Why::Cancelled), Just(Why::Unwanted)]
}

fn command() -> impl Strategy<Value = Command> {
    let amount = prop::option::of(prop_oneof![Just(4_000), any::<i64>()].prop_map(eur));
    prop_oneof![
        3 => (1_i64..10_001, 0_i64..5).prop_map(|(minor, lead)| Command::Request {
            // Most requests are repeats.
            order: Order { amount: eur(if minor < 9_000 { 10_000 } else { minor }), ..order() },
            lead: SignedDuration::from_secs(lead),
        }),
        2 => outcome().prop_map(Command::Settle),
        2 => Just(Command::NoAnswer),
        2 => (why(), amount).prop_map(|(why, amount)| Command::Refund { why, amount }),
        2 => why().prop_map(Command::Refunded),
        1 => why().prop_map(Command::NotRefunded),
        1 => Just(Command::Voided),
        1 => Just(Command::NotVoided),
        2 => outcome().prop_map(notify),
        1 => Just(Command::Notify(Notice::Refunded)),
        1 => Just(Command::Forget),
    ]
}

/// Whether a repeat of a command changes nothing: each failed attempt counts.
fn is_repeatable(command: &Command) -> bool {
    !matches!(
        command,
        Command::NoAnswer | Command::NotRefunded(_) | Command::NotVoided
    )
}

fn apply(state: &mut Option<Payment>, events: &mut Vec<Event>, command: &Command) {
    let happened = Payment::decide(state.as_ref(), command, &Now::at(noon()));
    let happened = happened.unwrap_or_default();
    *state = chassis_testing::fold(state.take(), happened.clone());
    events.extend(happened);
}

proptest! {
    #[test]
    fn the_rules_hold(commands in prop::collection::vec((command(), 0_i64..40), 0..40)) {
        let (mut state, mut events, mut at) = (None::<Payment>, Vec::new(), noon());
        for (command, hours) in commands {
            at = after(at, SignedDuration::from_hours(hours));
            let now = Now::at(at);
            let Ok(happened) = Payment::decide(state.as_ref(), &command, &now) else {
                continue;
            };
            state = chassis_testing::fold(state, happened.clone());
            events.extend(happened);
            if is_repeatable(&command) {
                let again = Payment::decide(state.as_ref(), &command, &now);
                prop_assert_eq!(again, Ok(vec![]), "{:?}", command);
            }
            // A deadline is set if and only if there is a task.
            let payment = state.as_ref().unwrap();
            prop_assert_eq!(payment.due().is_some(), payment.task(at).is_some());
            let stored = serde_json::to_string(payment).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Payment>(&stored).unwrap(), payment);
        }
        prop_assert_eq!(chassis_testing::fold(None, events.clone()), state.clone());

        let times = |is: fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
        let charges = times(|event| matches!(event, Event::Charged { .. }));
        prop_assert!(charges <= 1);
        let declines = times(|event| matches!(event, Event::Declined { .. } | Event::GivenUp { .. }));
        prop_assert!(declines <= 1);
        let sum = |amount: fn(&Event) -> Option<Money>| -> i64 {
            events.iter().filter_map(amount).map(|amount| amount.minor).sum()
        };
        let begun = sum(|event| match event {
            Event::RefundBegun { amount, .. } => Some(*amount),
            _ => None,
        });
        let refunded = sum(|event| match event {
            Event::Refunded { amount, .. } => Some(*amount),
            _ => None,
        });
        let paid = state.as_ref().and_then(Payment::requested).map_or(0, |payment| payment.order.amount.minor);
        prop_assert!(0 <= refunded && refunded <= begun && begun <= paid);
    }

    #[test]
    fn every_requested_refund_is_settled_once(
        refund_requests in prop::collection::vec((why(), 1_i64..20_000), 1..4), outcome in outcome(), first in 0_usize..4,
    ) {
        let mut state = chassis_testing::fold(None, [requested()]);
        let mut events = Vec::new();
        for (index, (why, minor)) in refund_requests.iter().enumerate() {
            if index == first {
                apply(&mut state, &mut events, &Command::Settle(outcome.clone()));
            }
            apply(&mut state, &mut events, &refund(*why, Some(*minor)));
        }
        apply(&mut state, &mut events, &Command::Settle(outcome));
        for why in [Why::Cancelled, Why::Unwanted] {
            apply(&mut state, &mut events, &Command::Refunded(why));
            let wished = refund_requests.iter().any(|(wished, _)| *wished == why);
            let answers = events.iter().filter(|event| match event {
                Event::Refunded { why: of, .. } | Event::NothingRefunded { why: of } => *of == why,
                _ => false,
            });
            prop_assert_eq!(answers.count(), usize::from(wished));
            apply(&mut state, &mut events, &Command::Refunded(why));
        }
    }
}

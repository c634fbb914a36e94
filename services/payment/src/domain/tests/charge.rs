//! Is it charged at most once, and given up in time?

use chassis::{Aggregate, Now};

use super::*;

#[test]
fn a_request_is_stored_before_the_provider_is_called() {
    let payment = paying([]).when(request()).then([requested()]).unwrap();
    assert_eq!(payment.task(noon()), Some(Task::Charge(order())));
    assert_eq!(payment.due(), Some(in_secs(3)));
}

#[test]
fn a_repeated_request_changes_nothing() {
    paying([requested()]).when(request()).then([]);
    paying([requested(), charged()]).when(request()).then([]);
    paying([requested(), declined()]).when(request()).then([]);
    paying(cancelling(1)).when(request()).then([]);
}

#[test]
fn a_request_with_other_content_is_refused() {
    let lead = SignedDuration::ZERO;
    let others = [
        Order {
            amount: eur(9_999),
            ..order()
        },
        Order {
            amount: Money::new("USD".parse().unwrap(), 10_000),
            ..order()
        },
        Order {
            method: Method::new("tok_other".into()),
            ..order()
        },
        Order {
            host: MemberId::from_u128(9),
            ..order()
        },
    ];
    for order in others {
        paying([requested(), charged()])
            .when(Command::Request { order, lead })
            .refuses(&Refusal::OtherContent);
    }
}

#[test]
fn the_provider_charges() {
    let payment = paying([requested()])
        .when(Command::Settle(yes()))
        .then([charged()])
        .unwrap();
    assert_eq!((payment.task(noon()), payment.due()), (None, None));
}

#[test]
fn the_provider_declines() {
    let payment = paying([requested()])
        .when(Command::Settle(no()))
        .then([declined()])
        .unwrap();
    assert_eq!((payment.task(noon()), payment.due()), (None, None));
}

#[test]
fn a_repeated_outcome_changes_nothing() {
    paying([requested(), charged()])
        .when(notify(yes()))
        .then([]);
    paying([requested(), declined()])
        .when(Command::Settle(no()))
        .then([]);
}

#[test]
fn retries_without_a_response_back_off() {
    let first = Event::Delayed(retry(1, in_secs(1)));
    let second = Event::Delayed(retry(2, in_secs(2)));
    paying([requested()])
        .when(Command::NoAnswer)
        .then([first.clone()]);
    paying([requested(), first.clone()])
        .when(Command::NoAnswer)
        .then([second]);
    let many = Event::Delayed(retry(40, noon()));
    paying([requested(), many])
        .when(Command::NoAnswer)
        .then([Event::Delayed(retry(41, in_secs(600)))]);
}

#[test]
fn a_timeout_after_the_outcome_changes_nothing() {
    for settled in [charged(), declined(), given_up()] {
        paying([requested(), settled])
            .when(Command::NoAnswer)
            .then([]);
    }
}

#[test]
fn after_a_day_the_outcome_is_queried_and_the_payment_given_up() {
    let payment = state([requested()]);
    let almost = after(in_hours(24), SignedDuration::from_micros(-1));
    assert_eq!(payment.task(almost), Some(Task::Charge(order())));
    assert_eq!(payment.task(in_hours(24)), Some(Task::Query));
    let payment = paying([requested()])
        .at(in_hours(24))
        .when(Command::NoAnswer)
        .then([Event::GivenUp { due: in_hours(24) }])
        .unwrap();
    assert_eq!(payment.task(in_hours(24)), Some(Task::Void));
    assert_eq!(payment.due(), Some(in_hours(24)));
}

#[test]
fn a_payment_that_was_given_up_is_voided_and_stays_declined() {
    let delayed = Event::VoidDelayed(retry(1, in_secs(1)));
    paying([requested(), given_up()])
        .when(Command::NotVoided)
        .then([delayed.clone()]);
    let payment = paying([requested(), given_up(), delayed])
        .when(Command::Voided)
        .then([Event::Voided])
        .unwrap();
    assert_eq!((payment.task(noon()), payment.due()), (None, None));
    for command in [
        Command::Voided,
        Command::NotVoided,
        Command::Settle(yes()),
        notify(yes()),
    ] {
        paying([requested(), given_up(), Event::Voided])
            .when(command)
            .then([]);
    }
    // The void undoes it.
    paying([requested(), given_up()])
        .when(Command::Settle(yes()))
        .then([]);
}

#[test]
fn a_payment_that_was_not_given_up_is_not_voided() {
    for settled in [charged(), declined()] {
        for command in [Command::Voided, Command::NotVoided] {
            paying([requested(), settled.clone()])
                .when(command)
                .then([]);
        }
    }
}

#[test]
fn a_charge_after_a_decline_is_refunded() {
    let events = [
        charged(),
        wished(Why::Unwanted, None),
        begun(Why::Unwanted, 10_000),
    ];
    paying([requested(), declined()])
        .when(notify(yes()))
        .then(events);
    // Also if it was to be refunded already, when there was nothing.
    let before = [
        requested(),
        declined(),
        wished(Why::Unwanted, None),
        nothing(Why::Unwanted),
    ];
    paying(before)
        .when(Command::Settle(yes()))
        .then([charged(), begun(Why::Unwanted, 10_000)]);
}

#[test]
fn a_decline_after_a_charge_is_ignored() {
    let payment = paying([requested(), charged()])
        .when(notify(no()))
        .then([])
        .unwrap();
    assert!(payment.contradicts(&Notice::Settled(no())));
    assert!(!payment.contradicts(&Notice::Settled(yes())));
    assert!(state([requested(), given_up()]).contradicts(&Notice::Settled(yes())));
}

#[test]
fn impossible_events_are_rejected() {
    assert_eq!(Payment::evolve(None, &charged()), None);
    let paid = state([requested(), charged()]);
    assert_eq!(Payment::evolve(Some(paid), &declined()), None);
}

#[test]
fn a_payment_method_is_not_shown() {
    assert!(!format!("{:?}", request()).contains("tok_"));
    assert!(Payment::decide(None, &request(), &Now::at(noon())).is_ok());
}

#[test]
fn a_refusal_has_a_reason() {
    use chassis::{Kind, Refused};
    let all = [
        (Refusal::Unknown, Kind::NotFound, "NOT_FOUND"),
        (
            Refusal::OtherContent,
            Kind::AlreadyExists,
            "IDEMPOTENCY_KEY_REUSED",
        ),
        (
            Refusal::OtherCurrency,
            Kind::Precondition,
            "CURRENCY_MISMATCH",
        ),
        (
            Refusal::TooManyNotices,
            Kind::Exhausted,
            "TOO_MANY_NOTIFICATIONS",
        ),
    ];
    for (refusal, kind, reason) in all {
        assert_eq!((refusal.kind(), refusal.reason()), (kind, reason));
    }
}

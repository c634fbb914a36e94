//! What is made of what the provider reports by itself?

use chassis::{Aggregate, Claims};

use super::*;

#[test]
fn a_refund_notification_makes_the_refund_due_at_once() {
    let later = Event::RefundDelayed {
        why: Why::Cancelled,
        retry: retry(3, in_secs(8)),
    };
    let now = Event::RefundDelayed {
        why: Why::Cancelled,
        retry: retry(3, noon()),
    };
    let mut before = cancelling(1);
    before.push(later);
    paying(before.clone())
        .when(Command::Notify(Notice::Refunded))
        .then([now.clone()]);
    before.push(now);
    paying(before)
        .when(Command::Notify(Notice::Refunded))
        .then([]);
    paying([requested()])
        .when(Command::Notify(Notice::Refunded))
        .then([]);
}

#[test]
fn a_notification_of_an_unknown_payment_is_applied_when_it_is_requested() {
    let payment = paying([])
        .taken("announced", "0001")
        .when(notify(yes()))
        .then([announced(yes(), 2)])
        .unwrap();
    assert_eq!(payment.claims(), Claims::none().and("announced", "0002"));
    assert_eq!(payment.requested(), None);
    paying([announced(yes(), 2)]).when(request()).then([
        Event::Requested {
            order: order(),
            at: noon(),
            due: noon(),
        },
        charged(),
    ]);
    assert_eq!(
        state([announced(yes(), 2), requested()]).claims(),
        Claims::none()
    );
}

#[test]
fn of_contradicting_notifications_the_charge_counts() {
    paying([announced(yes(), 1)]).when(notify(yes())).then([]);
    paying([announced(yes(), 1)]).when(notify(no())).then([]);
    paying([announced(no(), 1)])
        .when(notify(yes()))
        .then([announced(yes(), 1)]);
}

#[test]
fn the_number_of_notifications_of_unknown_payments_is_limited() {
    let full = (1..=SLOTS).fold(paying([]), |given, slot| {
        given.taken("announced", format!("{slot:04}"))
    });
    full.when(notify(yes())).refuses(&Refusal::TooManyNotices);
}

#[test]
fn a_notification_of_an_unknown_payment_expires() {
    let payment = state([announced(yes(), 1)]);
    assert_eq!(payment.task(noon()), Some(Task::Forget));
    assert_eq!(payment.due(), Some(in_hours(24)));
    paying([announced(yes(), 1)]).when(Command::Forget).then([]);
    let payment = paying([announced(yes(), 1)])
        .at(in_hours(24))
        .when(Command::Forget)
        .then([Event::Forgotten])
        .unwrap();
    assert_eq!(payment.claims(), Claims::none());
    assert_eq!((payment.task(noon()), payment.due()), (None, None));
    paying([announced(yes(), 1), Event::Forgotten])
        .when(request())
        .then([requested()]);
    paying([announced(yes(), 1), Event::Forgotten])
        .when(notify(no()))
        .then([announced(no(), 1)]);
    paying([requested()]).when(Command::Forget).then([]);
}

#[test]
fn only_a_request_or_a_notification_creates_a_payment() {
    for command in [
        Command::Settle(yes()),
        Command::NoAnswer,
        cancel(1),
        Command::Refunded(Why::Cancelled),
        Command::NotRefunded(Why::Cancelled),
        Command::Voided,
        Command::NotVoided,
        Command::Notify(Notice::Refunded),
        Command::Forget,
    ] {
        paying([]).when(command).refuses(&Refusal::Unknown);
    }
    paying([announced(yes(), 1)])
        .when(cancel(1))
        .refuses(&Refusal::Unknown);
}

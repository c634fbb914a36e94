//! Is no more refunded than was paid, and once?

use chassis::Aggregate;

use super::*;

#[test]
fn a_cancelled_reservation_is_refunded_by_the_requested_amount() {
    let payment = paying([requested(), charged()])
        .when(cancel(4_000))
        .then([
            wished(Why::Cancelled, Some(4_000)),
            begun(Why::Cancelled, 4_000),
        ])
        .unwrap();
    let task = Task::Refund {
        why: Why::Cancelled,
        amount: eur(4_000),
    };
    assert_eq!(
        (payment.task(noon()), payment.due()),
        (Some(task), Some(noon()))
    );
    let payment = paying(cancelling(4_000))
        .when(Command::Refunded(Why::Cancelled))
        .then([refunded(Why::Cancelled, 4_000)])
        .unwrap();
    assert_eq!((payment.task(noon()), payment.due()), (None, None));
    assert_eq!(payment.requested().unwrap().refunded(), eur(4_000));
}

#[test]
fn no_more_is_refunded_than_was_paid() {
    let wish = wished(Why::Cancelled, Some(10_001));
    paying([requested(), charged()])
        .when(cancel(10_001))
        .then([wish, begun(Why::Cancelled, 10_000)]);
    let mut before = cancelling(4_000);
    before.push(refunded(Why::Cancelled, 4_000));
    paying(before)
        .when(unwanted())
        .then([wished(Why::Unwanted, None), begun(Why::Unwanted, 6_000)]);
    for minor in [0, -1, i64::MIN] {
        let wish = wished(Why::Cancelled, Some(minor));
        paying([requested(), charged()])
            .when(cancel(minor))
            .then([wish, nothing(Why::Cancelled)]);
    }
}

#[test]
fn a_refund_requested_twice_is_made_once() {
    paying(cancelling(4_000)).when(cancel(4_000)).then([]);
    let mut done = cancelling(4_000);
    done.push(refunded(Why::Cancelled, 4_000));
    paying(done.clone()).when(cancel(4_000)).then([]);
    paying(done)
        .when(Command::Refunded(Why::Cancelled))
        .then([]);
    paying(cancelling(4_000))
        .when(cancel(5_000))
        .refuses(&Refusal::OtherContent);
}

#[test]
fn a_refund_in_another_currency_is_refused() {
    let usd = Money::new("USD".parse().unwrap(), 1);
    let command = Command::Refund {
        why: Why::Cancelled,
        amount: Some(usd),
    };
    paying([requested(), charged()])
        .when(command)
        .refuses(&Refusal::OtherCurrency);
}

#[test]
fn a_refund_without_a_response_is_retried_for_ever() {
    let later = |attempts, due| Event::RefundDelayed {
        why: Why::Cancelled,
        retry: retry(attempts, due),
    };
    let mut before = cancelling(1);
    paying(before.clone())
        .when(Command::NotRefunded(Why::Cancelled))
        .then([later(1, in_secs(1))]);
    before.push(later(1_000, noon()));
    paying(before)
        .at(in_hours(9_999))
        .when(Command::NotRefunded(Why::Cancelled))
        .then([later(1_001, after(in_hours(9_999), LONGEST_WAIT))]);
}

#[test]
fn an_outcome_of_a_refund_that_is_not_open_changes_nothing() {
    for command in [
        Command::Refunded(Why::Unwanted),
        Command::NotRefunded(Why::Unwanted),
    ] {
        paying(cancelling(1)).when(command.clone()).then([]);
        paying([requested()]).when(command.clone()).then([]);
        paying([requested(), declined()]).when(command).then([]);
    }
}

#[test]
fn a_refund_waits_for_an_unknown_outcome() {
    let wish = wished(Why::Cancelled, Some(4_000));
    paying([requested()])
        .when(cancel(4_000))
        .then([wish.clone()]);
    paying([requested(), wish.clone()])
        .when(cancel(4_000))
        .then([]);
    let both = [requested(), wish.clone(), wished(Why::Unwanted, None)];
    paying(both).when(Command::Settle(yes())).then([
        charged(),
        begun(Why::Cancelled, 4_000),
        begun(Why::Unwanted, 6_000),
    ]);
    paying([requested(), wish.clone()])
        .when(Command::Settle(no()))
        .then([declined(), nothing(Why::Cancelled)]);
    let late = Event::GivenUp { due: in_hours(24) };
    paying([requested(), wish])
        .at(in_hours(24))
        .when(Command::NoAnswer)
        .then([late, nothing(Why::Cancelled)]);
}

#[test]
fn a_refund_of_a_declined_payment_is_zero() {
    paying([requested(), declined()])
        .when(cancel(1))
        .then([wished(Why::Cancelled, Some(1)), nothing(Why::Cancelled)]);
}

#[test]
fn of_several_refunds_the_one_that_is_due_first_is_next() {
    let payment = state([
        requested(),
        charged(),
        Event::RefundBegun {
            why: Why::Cancelled,
            amount: eur(1),
            due: in_secs(9),
        },
        begun(Why::Unwanted, 2),
    ]);
    let task = Task::Refund {
        why: Why::Unwanted,
        amount: eur(2),
    };
    assert_eq!(
        (payment.task(noon()), payment.due()),
        (Some(task), Some(noon()))
    );
}

//! What payments and refunds bring.

use super::*;

/// What awaits a payment.
fn unpaid() -> [Vec<Event>; 3] {
    [has::requested(), has::approved(), has::payment_pending()]
}

/// What wants no payment, other than by having one.
fn unpayable() -> [Vec<Event>; 5] {
    [
        has::pending(),
        has::rejected(),
        has::declined(),
        has::lapsed(),
        has::cancelled(),
    ]
}

/// What has a payment, or had one before it was given up.
fn paid() -> [Vec<Event>; 4] {
    [
        has::confirmed(),
        has::cancel_requested(),
        has::refunded(),
        has::completed(),
    ]
}

#[test]
fn a_payment_confirms_a_reservation_that_awaits_it() {
    for events in unpaid() {
        let state = on(events)
            .when(confirm())
            .then([Event::Confirmed { payment: PAYMENT }]);
        let state = state.unwrap();
        assert_eq!(state.due(), Some(end()));
        assert_eq!(state.claims().len(), 3);
    }
}

#[test]
fn a_late_payment_confirms_a_reservation_that_is_still_held() {
    let late = later(noon(), hours(1));
    on(has::requested())
        .at(late)
        .when(confirm())
        .then([Event::Confirmed { payment: PAYMENT }]);
}

#[test]
fn a_payment_that_is_not_awaited_is_published_as_missed_once() {
    for events in unpayable() {
        let claims = state(events.clone()).claims();
        let after = on(events.clone()).when(confirm()).then([missed()]).unwrap();
        assert_eq!((after.status, after.booking), {
            let before = state(events.clone());
            (before.status, before.booking)
        });
        assert_eq!(state(events.clone()).claims(), claims);
        on(has::and(events, [missed()])).when(confirm()).then([]);
    }
}

#[test]
fn a_payment_after_the_stay_is_missed() {
    on(has::requested())
        .at(end())
        .when(confirm())
        .then([missed()]);
}

#[test]
fn a_payment_of_another_amount_is_missed() {
    let dollars = Money::new("USD".parse().unwrap(), PRICE);
    for amount in [eur(PRICE - 1), eur(PRICE + 1), dollars] {
        let confirm = Command::Confirm {
            payment: PAYMENT,
            amount,
        };
        on(has::requested()).when(confirm).then([missed()]);
    }
}

#[test]
fn a_repeated_payment_changes_nothing() {
    for events in paid() {
        on(events).when(confirm()).then([]);
    }
}

#[test]
fn a_second_payment_is_missed() {
    for events in paid() {
        let confirm = Command::Confirm {
            payment: OTHER_PAYMENT,
            amount: eur(PRICE),
        };
        let missed = Event::ConfirmationMissed {
            payment: OTHER_PAYMENT,
        };
        on(events).when(confirm).then([missed]);
    }
}

#[test]
fn a_declined_payment_rejects_a_reservation_that_awaits_it() {
    let why = Rejection::PaymentDeclined("INSUFFICIENT_FUNDS".into());
    for events in unpaid() {
        let state = on(events)
            .when(decline())
            .then([Event::Rejected { why: why.clone() }]);
        assert!(state.unwrap().claims().is_empty());
    }
    for events in unpayable().into_iter().chain(paid()) {
        on(events).when(decline()).then([]);
    }
}

#[test]
fn an_unknown_outcome_extends_the_hold_for_a_day() {
    let give_up = later(noon(), hours(24));
    for events in [has::requested(), has::approved()] {
        let state = on(events)
            .when(Command::AwaitPayment)
            .then([Event::PaymentPending { give_up }]);
        assert_eq!(state.unwrap().due(), Some(give_up));
    }
    for events in unpayable()
        .into_iter()
        .chain(paid())
        .chain([has::payment_pending()])
    {
        on(events).when(Command::AwaitPayment).then([]);
    }
}

#[test]
fn a_refund_ends_a_cancellation() {
    let state = on(has::cancel_requested())
        .when(refunded())
        .then([Event::Refunded])
        .unwrap();
    let refund = eur(PRICE);
    let cancelled = Status::Cancelled {
        payment: Some(PAYMENT),
        refund,
        reason: "ill".into(),
    };
    assert_eq!(state.status, cancelled);
}

#[test]
fn a_refund_of_anything_else_changes_nothing() {
    let other = Command::Refunded {
        payment: OTHER_PAYMENT,
    };
    on(has::cancel_requested()).when(other).then([]);
    for events in unpaid().into_iter().chain(unpayable()) {
        on(events).when(refunded()).then([]);
    }
    for events in [has::confirmed(), has::refunded(), has::completed()] {
        on(events).when(refunded()).then([]);
    }
}

#[test]
fn a_payment_is_due_only_while_it_is_awaited() {
    let to_pay = |events, at| state(events).is_to_pay(at);
    for events in unpaid() {
        assert_eq!(to_pay(events, noon()), Ok(true));
    }
    for events in [has::confirmed(), has::completed()] {
        assert_eq!(to_pay(events, noon()), Ok(false));
    }
    let late = later(noon(), minutes(15));
    assert_eq!(to_pay(has::requested(), late), Err(Refusal::Lapsed));
    assert_eq!(to_pay(has::approved(), late), Err(Refusal::Lapsed));
    assert_eq!(to_pay(has::lapsed(), noon()), Err(Refusal::Lapsed));
    let declined = Refusal::PaymentDeclined("INSUFFICIENT_FUNDS".into());
    assert_eq!(to_pay(has::declined(), noon()), Err(declined));
    for events in [
        has::pending(),
        has::rejected(),
        has::cancel_requested(),
        has::cancelled(),
        has::refunded(),
    ] {
        assert_eq!(to_pay(events, noon()), Err(Refusal::NotPayable));
    }
}

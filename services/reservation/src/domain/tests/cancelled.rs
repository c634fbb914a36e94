//! What giving up means.

use super::*;
use crate::domain::refund::CancellationQuote;

#[test]
fn an_unpaid_reservation_is_cancelled_at_once() {
    for events in [
        has::requested(),
        has::pending(),
        has::approved(),
        has::payment_pending(),
    ] {
        for member in [GUEST, HOST] {
            let event = Event::Cancelled {
                reason: "ill".into(),
            };
            let state = on(events.clone())
                .when(cancel(member))
                .then([event])
                .unwrap();
            assert_eq!(state.status.refund(), Some(eur(0)));
            assert_eq!(state.status.payment(), None);
            assert!(state.claims().is_empty());
        }
    }
}

#[test]
fn a_guest_is_refunded_by_the_notice_given() {
    let week = later(start(), -hours(168));
    let day = later(start(), -hours(24));
    let moment = SignedDuration::from_micros(1);
    let cases = [
        (noon(), eur(PRICE)),
        (week, eur(PRICE)),
        (later(week, moment), eur(PRICE / 2)),
        (day, eur(PRICE / 2)),
        (later(day, moment), eur(0)),
        (later(start(), -moment), eur(0)),
    ];
    for (at, refund) in cases {
        let reason = "ill".to_owned();
        let event = if refund.is_positive() {
            Event::CancelRequested { refund, reason }
        } else {
            Event::Cancelled { reason }
        };
        let state = on(has::confirmed())
            .at(at)
            .when(cancel(GUEST))
            .then([event])
            .unwrap();
        assert_eq!(state.status.refund(), Some(refund));
        assert_eq!(state.status.payment(), Some(PAYMENT));
        assert!(state.claims().is_empty());
    }
}

#[test]
fn a_quote_has_its_refund_and_its_validity() {
    let quote = |at| {
        state(has::confirmed())
            .cancellation_quote(actor(GUEST), at)
            .unwrap()
    };
    let week = later(start(), -hours(168));
    let day = later(start(), -hours(24));
    let (full, half, none) = (
        quote(noon()),
        quote(later(week, minutes(1))),
        quote(later(day, minutes(1))),
    );
    let quoted = |refund, fee, until| CancellationQuote {
        refund: eur(refund),
        fee: eur(fee),
        valid_until: Some(until),
    };
    assert_eq!(full, quoted(PRICE, 0, week));
    assert_eq!(half, quoted(PRICE / 2, PRICE / 2, day));
    assert_eq!(none, quoted(0, PRICE, start()));
    // It holds at the moment until which it is valid.
    assert_eq!(quote(week).refund, full.refund);
    assert_eq!(quote(day).refund, half.refund);
    let host =
        state(has::confirmed()).cancellation_quote(actor(HOST), quote(day).valid_until.unwrap());
    assert_eq!(host, Ok(quoted(PRICE, 0, start())));
    let unpaid = state(has::requested())
        .cancellation_quote(actor(GUEST), noon())
        .unwrap();
    assert_eq!(
        (unpaid.refund, unpaid.fee, unpaid.valid_until),
        (eur(0), eur(0), None)
    );
}

#[test]
fn without_tiers_everything_is_refunded_until_the_start() {
    let last = later(start(), -SignedDuration::from_micros(1));
    let quote = CancellationQuote::by_notice(eur(PRICE), &[], start(), last);
    assert_eq!(
        (quote.refund, quote.valid_until),
        (eur(PRICE), Some(start()))
    );
}

#[test]
fn the_order_of_the_tiers_does_not_matter() {
    let tiers = [
        Tier {
            hours_before: 0,
            percent: 10,
        },
        Tier {
            hours_before: 48,
            percent: 90,
        },
        Tier {
            hours_before: 24,
            percent: 50,
        },
    ];
    for (notice, refund) in [(49, 90), (48, 90), (47, 50), (24, 50), (1, 10), (0, 10)] {
        let quote =
            CancellationQuote::by_notice(eur(100), &tiers, start(), later(start(), -hours(notice)));
        assert_eq!(quote.refund, eur(refund), "{notice} hours");
    }
}

#[test]
fn a_host_or_operator_who_cancels_refunds_everything() {
    let last = later(start(), -minutes(1));
    for (by, reason) in [
        (actor(HOST), "CANCELLED_BY_HOST"),
        (operator(), "CANCELLED_BY_OPERATOR"),
    ] {
        let cancel = Command::Cancel {
            by,
            reason: String::new(),
            expected_refund: None,
        };
        let event = Event::CancelRequested {
            refund: eur(PRICE),
            reason: reason.into(),
        };
        on(has::confirmed()).at(last).when(cancel).then([event]);
    }
}

#[test]
fn a_guest_who_operates_the_platform_is_a_guest() {
    let by = Actor {
        member: GUEST,
        operator: true,
    };
    let last = later(start(), -minutes(1));
    let cancel = Command::Cancel {
        by,
        reason: String::new(),
        expected_refund: None,
    };
    let event = Event::Cancelled {
        reason: "CANCELLED_BY_GUEST".into(),
    };
    on(has::confirmed()).at(last).when(cancel).then([event]);
}

#[test]
fn a_stay_that_has_begun_cannot_be_cancelled() {
    for member in [GUEST, HOST] {
        on(has::confirmed())
            .at(start())
            .when(cancel(member))
            .refuses(&Refusal::StayHasBegun);
    }
    assert_eq!(
        state(has::confirmed()).cancellation_quote(actor(GUEST), end()),
        Err(Refusal::StayHasBegun)
    );
}

#[test]
fn a_final_reservation_cannot_be_cancelled() {
    for events in [
        has::rejected(),
        has::declined(),
        has::lapsed(),
        has::completed(),
    ] {
        on(events.clone())
            .when(cancel(GUEST))
            .refuses(&Refusal::NotCancellable);
        assert_eq!(
            state(events).cancellation_quote(actor(HOST), noon()),
            Err(Refusal::NotCancellable)
        );
    }
    for events in [has::cancelled(), has::cancel_requested(), has::refunded()] {
        assert_eq!(
            state(events).cancellation_quote(actor(HOST), noon()),
            Err(Refusal::NotCancellable)
        );
    }
}

#[test]
fn cancelling_again_changes_nothing() {
    for events in [has::cancel_requested(), has::cancelled(), has::refunded()] {
        on(events).at(end()).when(cancel(GUEST)).then([]);
    }
}

#[test]
fn other_members_cannot_cancel() {
    for events in has::every_state() {
        on(events.clone())
            .when(cancel(STRANGER))
            .refuses(&Refusal::NotFound);
        assert_eq!(
            state(events).cancellation_quote(actor(STRANGER), noon()),
            Err(Refusal::NotFound)
        );
    }
}

#[test]
fn a_cancellation_with_another_refund_than_expected_is_refused() {
    let expecting = |refund| Command::Cancel {
        by: actor(GUEST),
        reason: "ill".into(),
        expected_refund: Some(refund),
    };
    on(has::confirmed())
        .when(expecting(eur(PRICE - 1)))
        .refuses(&Refusal::RefundChanged);
    on(has::requested())
        .when(expecting(eur(1)))
        .refuses(&Refusal::RefundChanged);
    on(has::confirmed()).when(expecting(eur(PRICE))).happens();
    on(has::requested()).when(expecting(eur(0))).happens();
}

//! What hosts and the time decide, and what cannot be.

use super::*;
use crate::domain::status::Lapse;

#[test]
fn commands_to_a_missing_reservation_are_refused() {
    for command in [
        approve(HOST),
        reject(HOST, ""),
        cancel(GUEST),
        confirm(),
        decline(),
        Command::AwaitPayment,
        refunded(),
        Command::Due,
    ] {
        on(vec![]).when(command).refuses(&Refusal::NotFound);
    }
}

#[test]
fn a_host_approves_and_the_payment_is_awaited() {
    let pay_by = later(noon(), minutes(15));
    let state = on(has::pending())
        .when(approve(HOST))
        .then([Event::Approved { pay_by }]);
    assert_eq!(state.unwrap().due(), Some(pay_by));
    on(has::pending())
        .when(Command::Approve { by: operator() })
        .then([Event::Approved { pay_by }]);
}

#[test]
fn approving_again_changes_nothing() {
    for events in [has::approved(), has::confirmed_after_approval()] {
        on(events).when(approve(HOST)).then([]);
    }
}

#[test]
fn a_reservation_without_approval_cannot_be_approved_or_rejected() {
    for events in [
        has::requested(),
        has::payment_pending(),
        has::confirmed(),
        has::declined(),
        has::lapsed(),
        has::cancel_requested(),
        has::cancelled(),
        has::refunded(),
        has::completed(),
    ] {
        on(events.clone())
            .when(approve(HOST))
            .refuses(&Refusal::NotPending);
        on(events)
            .when(reject(HOST, ""))
            .refuses(&Refusal::NotPending);
    }
    on(has::rejected())
        .when(approve(HOST))
        .refuses(&Refusal::NotPending);
    on(has::approved())
        .when(reject(HOST, ""))
        .refuses(&Refusal::NotPending);
}

#[test]
fn a_host_cannot_decide_after_the_deadline() {
    let late = later(noon(), hours(24));
    on(has::pending())
        .at(late)
        .when(approve(HOST))
        .refuses(&Refusal::NotPending);
    on(has::pending())
        .at(late)
        .when(reject(HOST, ""))
        .refuses(&Refusal::NotPending);
}

#[test]
fn a_host_rejects_with_a_reason() {
    let why = Rejection::ByHost("full".into());
    let state = on(has::pending())
        .when(reject(HOST, "full"))
        .then([Event::Rejected { why }]);
    assert!(state.unwrap().claims().is_empty());
    on(has::rejected()).when(reject(HOST, "full")).then([]);
    on(has::rejected())
        .when(reject(HOST, "other"))
        .refuses(&Refusal::NotPending);
}

#[test]
fn only_the_host_decides() {
    for member in [GUEST, STRANGER] {
        for events in has::every_state() {
            on(events.clone())
                .when(approve(member))
                .refuses(&Refusal::NotFound);
            on(events)
                .when(reject(member, "full"))
                .refuses(&Refusal::NotFound);
        }
    }
}

#[test]
fn a_hold_lapses_at_its_deadline_and_not_before() {
    let cases = [
        (has::requested(), minutes(15), Lapse::NotPaid),
        (has::approved(), minutes(15), Lapse::NotPaid),
        (has::pending(), hours(24), Lapse::NotApproved),
        (has::payment_pending(), hours(24), Lapse::PaymentUnknown),
    ];
    for (events, wait, why) in cases {
        let due = later(noon(), wait);
        let early = later(due, -SignedDuration::from_micros(1));
        on(events.clone()).at(early).when(Command::Due).then([]);
        let state = on(events)
            .at(due)
            .when(Command::Due)
            .then([Event::Lapsed])
            .unwrap();
        assert_eq!(state.status, Status::Lapsed { why });
        assert!(state.claims().is_empty());
        assert_eq!(state.due(), None);
    }
}

#[test]
fn a_stay_completes_when_it_ends() {
    let early = later(end(), -SignedDuration::from_micros(1));
    on(has::confirmed()).at(early).when(Command::Due).then([]);
    let state = on(has::confirmed())
        .at(end())
        .when(Command::Due)
        .then([Event::Completed])
        .unwrap();
    assert!(state.claims().is_empty());
    assert_eq!(state.due(), None);
}

#[test]
fn a_final_reservation_has_no_deadline() {
    for events in [
        has::rejected(),
        has::declined(),
        has::lapsed(),
        has::cancel_requested(),
        has::cancelled(),
        has::refunded(),
        has::completed(),
    ] {
        assert_eq!(state(events.clone()).due(), None);
        on(events)
            .at(later(end(), hours(9)))
            .when(Command::Due)
            .then([]);
    }
}

#[test]
fn impossible_events_are_rejected() {
    let completed = Some(state(has::completed()));
    for event in [
        happens(&request()),
        Event::Approved { pay_by: noon() },
        Event::PaymentPending { give_up: noon() },
        Event::Confirmed { payment: PAYMENT },
        Event::Rejected {
            why: Rejection::ByHost(String::new()),
        },
        Event::Lapsed,
        Event::CancelRequested {
            refund: eur(1),
            reason: String::new(),
        },
        Event::Cancelled {
            reason: String::new(),
        },
        Event::Refunded,
        Event::Completed,
    ] {
        assert_eq!(
            Reservation::evolve(completed.clone(), &event),
            None,
            "{event:?}"
        );
    }
    assert_eq!(Reservation::evolve(None, &Event::Lapsed), None);
}

#[test]
fn stored_states_of_earlier_versions_can_be_read() {
    let stored = include_str!("../../../tests/golden/states-v1.jsonl");
    let read: Vec<Reservation> = stored
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut states: Vec<Reservation> = has::every_state().into_iter().map(state).collect();
    states.push(state(has::and(has::lapsed(), [missed()])));
    let booking_request = BookingRequest {
        period: times("2027-04-01T10:15:00Z", 2),
        ..booking_request()
    };
    let terms = Terms {
        sold_by: SoldBy::Hour,
        ..terms()
    };
    states.push(state(vec![happens(&request_of(booking_request, terms))]));
    assert_eq!(read, states);
}

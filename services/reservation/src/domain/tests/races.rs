//! Two things happen at once: whichever comes first, one of them wins and money and claims agree.

use super::*;

/// Gives commands one after the other; who comes too late is refused, and that is all.
fn after(events: &[Event], at: Timestamp, commands: &[Command]) -> Reservation {
    let mut state = Some(state(events.to_vec()));
    for command in commands {
        if let Ok(events) = Reservation::decide(state.as_ref(), command, &Now::at(at)) {
            state = fold(state, events);
        }
    }
    state.unwrap()
}

/// What a state is called, and whether the customer's money was wanted.
fn outcome(state: &Reservation) -> (&'static str, bool) {
    let name = match &state.status {
        Status::Requested { .. } => "requested",
        Status::PendingApproval { .. } => "pending",
        Status::Approved { .. } => "approved",
        Status::PaymentPending { .. } => "payment pending",
        Status::Confirmed { .. } => "confirmed",
        Status::Rejected { .. } => "rejected",
        Status::Lapsed { .. } => "lapsed",
        Status::CancelRequested { .. } => "cancel requested",
        Status::Cancelled { .. } => "cancelled",
        Status::Completed { .. } => "completed",
    };
    (name, state.missed.is_empty())
}

/// Both orders of two commands, and what each must come to. Claims are held if and only if the state is open, and money
/// that was paid is either kept by what is confirmed, or on its way back.
fn race(
    events: &[Event],
    at: Timestamp,
    [first, second]: [Command; 2],
    expected: [(&'static str, bool); 2],
) {
    let orders = [[first.clone(), second.clone()], [second, first]];
    for (order, expected) in orders.iter().zip(expected) {
        let state = after(events, at, order);
        assert_eq!(outcome(&state), expected, "{order:?}");
        assert_eq!(
            state.claims().is_empty(),
            !state.status.is_open(),
            "{order:?}"
        );
        let paid = order
            .iter()
            .any(|command| matches!(command, Command::Confirm { .. }));
        let kept = matches!(
            state.status,
            Status::Confirmed { .. } | Status::Completed { .. }
        );
        let returned =
            !state.missed.is_empty() || state.status.refund().is_some_and(Money::is_positive);
        assert!(!paid || kept != returned, "{order:?}: paid, but {state:?}");
    }
}

const KEPT: bool = true;
const MISSED: bool = false;

#[test]
fn payment_against_lapse() {
    let late = later(noon(), hours(24));
    for events in [has::requested(), has::approved(), has::payment_pending()] {
        race(
            &events,
            late,
            [confirm(), Command::Due],
            [("confirmed", KEPT), ("lapsed", MISSED)],
        );
    }
}

#[test]
fn payment_against_cancellation() {
    for events in [has::requested(), has::approved(), has::payment_pending()] {
        for member in [GUEST, HOST] {
            let expected = [("cancel requested", KEPT), ("cancelled", MISSED)];
            race(&events, noon(), [confirm(), cancel(member)], expected);
        }
    }
}

#[test]
fn payment_against_decline() {
    for events in [has::requested(), has::approved(), has::payment_pending()] {
        race(
            &events,
            noon(),
            [confirm(), decline()],
            [("confirmed", KEPT), ("rejected", MISSED)],
        );
    }
}

#[test]
fn payment_against_its_unknown_outcome() {
    for events in [has::requested(), has::approved()] {
        let commands = [confirm(), Command::AwaitPayment];
        race(
            &events,
            noon(),
            commands,
            [("confirmed", KEPT), ("confirmed", KEPT)],
        );
    }
}

#[test]
fn payment_against_itself() {
    for events in [has::requested(), has::approved(), has::payment_pending()] {
        race(
            &events,
            noon(),
            [confirm(), confirm()],
            [("confirmed", KEPT); 2],
        );
    }
}

#[test]
fn decline_against_lapse() {
    let late = later(noon(), hours(24));
    for events in [has::requested(), has::approved(), has::payment_pending()] {
        race(
            &events,
            late,
            [decline(), Command::Due],
            [("rejected", KEPT), ("lapsed", KEPT)],
        );
    }
}

#[test]
fn decline_against_cancellation() {
    for events in [has::requested(), has::approved(), has::payment_pending()] {
        let expected = [("rejected", KEPT), ("cancelled", KEPT)];
        race(&events, noon(), [decline(), cancel(GUEST)], expected);
    }
}

#[test]
fn decline_against_an_unknown_outcome() {
    let commands = [decline(), Command::AwaitPayment];
    race(&has::requested(), noon(), commands, [("rejected", KEPT); 2]);
}

#[test]
fn an_unknown_outcome_against_lapse() {
    let late = later(noon(), minutes(15));
    let expected = [("payment pending", KEPT), ("lapsed", KEPT)];
    race(
        &has::requested(),
        late,
        [Command::AwaitPayment, Command::Due],
        expected,
    );
}

#[test]
fn an_unknown_outcome_against_cancellation() {
    let expected = [("cancelled", KEPT), ("cancelled", KEPT)];
    race(
        &has::requested(),
        noon(),
        [Command::AwaitPayment, cancel(GUEST)],
        expected,
    );
}

#[test]
fn approval_against_lapse() {
    let late = later(noon(), hours(24));
    let expected = [("lapsed", KEPT), ("lapsed", KEPT)];
    race(
        &has::pending(),
        late,
        [approve(HOST), Command::Due],
        expected,
    );
    let in_time = later(late, -minutes(1));
    let expected = [("approved", KEPT), ("approved", KEPT)];
    race(
        &has::pending(),
        in_time,
        [approve(HOST), Command::Due],
        expected,
    );
}

#[test]
fn approval_against_rejection() {
    let expected = [("approved", KEPT), ("rejected", KEPT)];
    race(
        &has::pending(),
        noon(),
        [approve(HOST), reject(HOST, "full")],
        expected,
    );
}

#[test]
fn approval_against_cancellation() {
    let expected = [("cancelled", KEPT), ("cancelled", KEPT)];
    race(
        &has::pending(),
        noon(),
        [approve(HOST), cancel(GUEST)],
        expected,
    );
}

#[test]
fn approval_against_payment() {
    let expected = [("confirmed", KEPT), ("approved", MISSED)];
    race(
        &has::pending(),
        noon(),
        [approve(HOST), confirm()],
        expected,
    );
}

#[test]
fn rejection_against_cancellation_and_lapse() {
    let expected = [("rejected", KEPT), ("cancelled", KEPT)];
    race(
        &has::pending(),
        noon(),
        [reject(HOST, "full"), cancel(GUEST)],
        expected,
    );
    let late = later(noon(), hours(24));
    race(
        &has::pending(),
        late,
        [reject(HOST, "full"), Command::Due],
        [("lapsed", KEPT); 2],
    );
}

#[test]
fn cancellation_against_lapse() {
    let late = later(noon(), hours(24));
    let expected = [("cancelled", KEPT), ("lapsed", KEPT)];
    race(
        &has::requested(),
        late,
        [cancel(GUEST), Command::Due],
        expected,
    );
}

#[test]
fn cancellation_against_completion() {
    // Whoever comes first, a stay that has begun is not cancelled.
    race(
        &has::confirmed(),
        end(),
        [cancel(GUEST), Command::Due],
        [("completed", KEPT); 2],
    );
}

#[test]
fn cancellation_by_guest_against_host() {
    let last = later(start(), -hours(48));
    let halves = |first: MemberId, second| {
        let state = after(&has::confirmed(), last, &[cancel(first), cancel(second)]);
        state.status.refund()
    };
    assert_eq!(halves(GUEST, HOST), Some(eur(PRICE / 2)));
    assert_eq!(halves(HOST, GUEST), Some(eur(PRICE)));
}

#[test]
fn a_repeated_refund_ends_the_cancellation_once() {
    race(
        &has::cancel_requested(),
        noon(),
        [refunded(), refunded()],
        [("cancelled", KEPT); 2],
    );
    race(
        &has::cancel_requested(),
        noon(),
        [refunded(), cancel(GUEST)],
        [("cancelled", KEPT); 2],
    );
}

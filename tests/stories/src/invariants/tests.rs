//! Does each invariant bite? A legal history passes; with one fault planted in it, exactly what is broken is reported.

use berth::{
    google::r#type as google,
    offer::v1::{DateRange, Period, period},
    payment::v1::{Payment, PaymentStatus as Paid},
    reservation::v1::{Reservation, ReservationStatus as Status},
};
use chassis::{
    Money,
    base::{
        time,
        time::{SignedDuration, Timestamp},
    },
};

use super::{Invariant, check};
use crate::{
    history::{History, PaymentStep, ProviderLedger, ReservationStep},
    world::eur,
};

const CUSTOMER: &str = "customer";
const OFFER: &str = "offer";
/// How long a hold lasts.
const HOLD: SignedDuration = SignedDuration::from_mins(15);

fn at(minutes: i64) -> Timestamp {
    let begin: Timestamp = "2027-03-01T12:00:00Z".parse().unwrap();
    begin + SignedDuration::from_mins(minutes)
}

fn money(units: i64) -> Money {
    Money::new("EUR".parse().unwrap(), units * 100)
}

/// A reservation of one unit for two nights from a day in April, for 80.
fn reservation(id: &str, day: i32, unit: i32) -> Reservation {
    let date = |day| google::Date {
        year: 2027,
        month: 4,
        day,
    };
    let dates = DateRange {
        start_date: Some(date(day)),
        end_date: Some(date(day + 2)),
    };
    Reservation {
        reservation_id: id.into(),
        offer_id: OFFER.into(),
        customer_id: CUSTOMER.into(),
        period: Some(Period {
            kind: Some(period::Kind::Dates(dates)),
        }),
        units: vec![unit],
        price: eur(80),
        hold_expire_time: Some(time::to_proto(at(0) + HOLD)),
        ..Reservation::default()
    }
}

/// Builds a history.
struct Builder(History);

impl Builder {
    /// Adds the states of a reservation, one for each minute, with their messages.
    fn reserves(&mut self, reservation: &Reservation, states: &[(&str, Status)]) {
        for (version, (event, status)) in (1..).zip(states) {
            let mut reservation = reservation.clone();
            reservation.set_status(*status);
            if *status != Status::Requested {
                reservation.hold_expire_time = None;
            }
            let event_type = format!("berth.reservation.v1.{event}");
            let about = format!("{event_type}/{}", reservation.reservation_id);
            self.0.messages.push((about, CUSTOMER.into()));
            let lapsed = *status == Status::Lapsed;
            self.0.reservations.push(ReservationStep {
                seq: i64::try_from(self.0.reservations.len()).unwrap() + 1,
                at: if lapsed { at(15) } else { at(version) },
                event_type,
                version,
                reservation,
            });
        }
    }

    /// Adds the claims of an open reservation: two nights, and one slot of its customer.
    fn claims(&mut self, id: &str) {
        for (scope, key) in [
            ("offer/offer", "1"),
            ("offer/offer", "2"),
            ("customer/customer", "1"),
        ] {
            let owner = format!("reservation/{id}");
            self.0.claims.push((scope.into(), key.into(), owner));
        }
    }

    /// Adds the states of a payment.
    fn pays(&mut self, id: &str, states: &[(&str, Paid)], refunded: i64) {
        for (event, status) in states {
            let mut payment = Payment {
                payment_id: id.into(),
                reservation_id: id.into(),
                amount: eur(80),
                ..Payment::default()
            };
            payment.set_status(*status);
            if matches!(status, Paid::Refunded | Paid::RefundPending) {
                payment.refunded = eur(refunded);
            }
            self.0.payments.push(PaymentStep {
                seq: i64::try_from(self.0.payments.len()).unwrap() + 1,
                at: at(1),
                event_type: format!("berth.payment.v1.{event}"),
                payment,
            });
        }
        let charged = states.iter().any(|(event, _)| *event == APPROVED.0);
        let ledger = ProviderLedger {
            charges: charged.then(|| money(80)).into_iter().collect(),
            refunds: [("refund".into(), (1, Some(money(refunded))))].into(),
            voided: false,
        };
        self.0.provider.insert(id.into(), ledger);
    }
}

const REQUESTED: (&str, Status) = ("ReservationRequested", Status::Requested);
const CONFIRMED: (&str, Status) = ("ReservationConfirmed", Status::Confirmed);
const CANCELLED: [(&str, Status); 2] = [
    ("ReservationCancelRequested", Status::CancelRequested),
    ("ReservationCancelled", Status::Cancelled),
];
const REJECTED: (&str, Status) = ("ReservationRejected", Status::Rejected);
const LAPSED: (&str, Status) = ("ReservationLapsed", Status::Lapsed);
const COMPLETED: (&str, Status) = ("ReservationCompleted", Status::Completed);
const APPROVED: (&str, Paid) = ("PaymentApproved", Paid::Paid);
const REFUNDED: (&str, Paid) = ("PaymentCancelled", Paid::Refunded);

/// A legal history: two confirmed reservations on the same dates, one cancelled with a refund of 50 percent, declined,
/// lapsed, completed, and paid too late.
fn legal() -> History {
    let mut scribe = Builder(History::default());
    scribe.0.capacities.insert(OFFER.into(), 2);
    for (id, unit) in [("kept", 1), ("beside", 2)] {
        scribe.reserves(&reservation(id, 1, unit), &[REQUESTED, CONFIRMED]);
        scribe.claims(id);
        scribe.pays(id, &[APPROVED], 0);
    }
    let mut cancelled = reservation("cancelled", 10, 1);
    cancelled.payment_id = "cancelled".into();
    cancelled.refund = eur(40);
    let [given_up, over] = CANCELLED;
    scribe.reserves(&cancelled, &[REQUESTED, CONFIRMED, given_up, over]);
    scribe.pays("cancelled", &[APPROVED, REFUNDED], 40);
    scribe.reserves(&reservation("declined", 10, 1), &[REQUESTED, REJECTED]);
    let declined = ("PaymentDeclined", Paid::Declined);
    scribe.pays("declined", &[declined], 0);
    scribe.reserves(&reservation("lapsed", 10, 1), &[REQUESTED, LAPSED]);
    scribe.reserves(
        &reservation("over", 10, 1),
        &[REQUESTED, CONFIRMED, COMPLETED],
    );
    scribe.pays("over", &[APPROVED], 0);
    scribe.reserves(&reservation("late", 10, 1), &[REQUESTED, LAPSED]);
    scribe.pays("late", &[APPROVED, REFUNDED], 80);
    scribe.0
}

fn step<'a>(history: &'a mut History, id: &str, status: Status) -> &'a mut ReservationStep {
    let mut steps = history.reservations.iter_mut();
    let found = steps
        .find(|step| step.reservation.reservation_id == id && step.reservation.status() == status);
    found.unwrap()
}

fn last_payment<'a>(history: &'a mut History, id: &str) -> &'a mut Payment {
    let mut steps = history.payments.iter_mut().rev();
    let found = steps.find(|step| step.payment.payment_id == id);
    &mut found.unwrap().payment
}

fn violated(history: &History) -> Vec<Invariant> {
    let mut found: Vec<_> = check(history)
        .into_iter()
        .map(|broken| broken.invariant)
        .collect();
    found.dedup();
    found
}

#[test]
fn a_legal_history_passes() {
    assert_eq!(check(&legal()), []);
    assert_eq!(check(&History::default()), []);
}

/// Changes a legal history. Exactly the expected invariants must be reported.
#[track_caller]
fn reports(change: impl FnOnce(&mut History), expected: &[Invariant]) {
    let mut history = legal();
    change(&mut history);
    assert_eq!(violated(&history), expected, "{:#?}", check(&history));
}

/// Invariant: I1.
#[test]
fn a_unit_held_by_two_reservations_is_reported() {
    let both = |history: &mut History| {
        for step in &mut history.reservations {
            step.reservation.units = vec![1];
        }
    };
    reports(both, &[Invariant::I1NoOversell]);
    // Only for a moment, in the middle of the history.
    let moment = |history: &mut History| {
        let mut late = step(history, "late", Status::Requested).clone();
        late.seq = 0;
        late.reservation.period = step(history, "kept", Status::Requested).reservation.period;
        *step(history, "late", Status::Requested) = late;
    };
    reports(moment, &[Invariant::I1NoOversell]);
}

/// Invariant: I1.
#[test]
fn a_unit_above_the_capacity_is_reported() {
    let beyond = |history: &mut History| {
        history.capacities.insert(OFFER.into(), 1);
    };
    reports(beyond, &[Invariant::I1NoOversell]);
}

/// Invariant: I2.
#[test]
fn a_lost_or_leaked_claim_is_reported() {
    let lost = |history: &mut History| drop(history.claims.pop());
    reports(lost, &[Invariant::I2Coherence]);
    let leaked = |history: &mut History| {
        let leak = ("offer/offer", "3", "reservation/cancelled");
        let (scope, key, owner) = leak;
        history
            .claims
            .push((scope.into(), key.into(), owner.into()));
    };
    reports(leaked, &[Invariant::I2Coherence]);
}

/// Invariant: I3.
#[test]
fn a_confirmation_without_a_charge_is_reported() {
    let unpaid = |history: &mut History| {
        history
            .payments
            .retain(|step| step.payment.payment_id != "kept");
        history.provider.remove("kept");
    };
    reports(unpaid, &[Invariant::I3NoUnpaidConfirmation]);
    // Refunded in full, and charged less than it costs.
    let cheap = |history: &mut History| {
        for step in &mut history.payments {
            if step.payment.payment_id == "over" {
                step.payment.amount = eur(70);
            }
        }
    };
    let expected = [Invariant::I3NoUnpaidConfirmation, Invariant::I5Conservation];
    reports(cheap, &expected);
}

/// Invariant: I4.
#[test]
fn a_payment_kept_without_a_booking_is_reported() {
    let nothing = |history: &mut History| {
        let mut scribe = Builder(std::mem::take(history));
        scribe.pays("nothing", &[APPROVED], 0);
        *history = scribe.0;
    };
    reports(nothing, &[Invariant::I4NoBookinglessPayment]);
}

/// Invariant: I5.
#[test]
fn a_wrong_refund_is_reported() {
    let short = |history: &mut History| {
        last_payment(history, "cancelled").refunded = eur(39);
        let ledger = history.provider.get_mut("cancelled").unwrap();
        ledger.refunds.insert("refund".into(), (1, Some(money(39))));
    };
    reports(short, &[Invariant::I5Conservation]);
    let over = |history: &mut History| last_payment(history, "late").refunded = eur(81);
    reports(over, &[Invariant::I5Conservation]);
}

/// Invariant: I5.
#[test]
fn a_difference_from_the_ledger_of_the_provider_is_reported() {
    let twice = |history: &mut History| {
        let ledger = history.provider.get_mut("cancelled").unwrap();
        ledger.refunds.insert("again".into(), (1, Some(money(40))));
    };
    reports(twice, &[Invariant::I5Conservation]);
    let unknown = |history: &mut History| {
        let charges = vec![money(80)];
        let ledger = ProviderLedger {
            charges,
            ..ProviderLedger::default()
        };
        history.provider.insert("lapsed".into(), ledger);
    };
    reports(unknown, &[Invariant::I5Conservation]);
}

/// Invariant: I6.
#[test]
fn a_second_charge_is_reported() {
    let twice = |history: &mut History| {
        let again = history.payments.first().unwrap().clone();
        history.payments.push(again);
    };
    reports(twice, &[Invariant::I6SingleEffect]);
    let refunded = |history: &mut History| {
        let ledger = history.provider.get_mut("kept").unwrap();
        ledger.charges.push(money(80));
        ledger.refunds.insert("again".into(), (1, Some(money(80))));
    };
    reports(refunded, &[Invariant::I6SingleEffect]);
}

/// Invariant: I7.
#[test]
fn an_illegal_transition_or_a_version_gap_is_reported() {
    let skipped = |history: &mut History| step(history, "kept", Status::Confirmed).version = 3;
    reports(skipped, &[Invariant::I7LegalTransitions]);
    let shortcut = |history: &mut History| {
        let of = step(history, "over", Status::Confirmed);
        of.reservation.set_status(Status::Requested);
    };
    reports(shortcut, &[Invariant::I7LegalTransitions]);
    let revived = |history: &mut History| {
        let confirmed = step(history, "cancelled", Status::Confirmed).clone();
        let revived = ReservationStep {
            version: 5,
            ..confirmed
        };
        let index = history.reservations.len();
        history.reservations.insert(index, revived);
        let cancelled = step(history, "cancelled", Status::Cancelled).clone();
        history.reservations.push(ReservationStep {
            version: 6,
            ..cancelled
        });
    };
    reports(revived, &[Invariant::I7LegalTransitions]);
}

/// Invariant: I8.
#[test]
fn a_missing_or_repeated_message_is_reported() {
    let lost = |history: &mut History| drop(history.messages.pop());
    reports(lost, &[Invariant::I8NoLostEvent]);
    let twice = |history: &mut History| {
        let again = history.messages.first().unwrap().clone();
        history.messages.push(again);
    };
    reports(twice, &[Invariant::I8NoLostEvent]);
}

/// Invariant: I9.
#[test]
fn a_message_about_an_event_that_did_not_happen_is_reported() {
    let phantom = |history: &mut History| {
        let about = "berth.reservation.v1.ReservationConfirmed/lapsed";
        history.messages.push((about.into(), CUSTOMER.into()));
    };
    reports(phantom, &[Invariant::I9NoPhantomEvent]);
}

/// Invariant: I10.
#[test]
fn a_hold_that_lapses_before_its_deadline_is_reported() {
    let early = |history: &mut History| {
        step(history, "lapsed", Status::Lapsed).at = at(15) - SignedDuration::from_micros(1);
    };
    reports(early, &[Invariant::I10ExpiryNeverEarly]);
}

/// Invariant: I11.
#[test]
fn an_intermediate_state_on_a_quiet_platform_is_reported() {
    let refund = |history: &mut History| {
        last_payment(history, "late").set_status(Paid::RefundPending);
    };
    reports(refund, &[Invariant::I11NoStuckProcess]);
    for status in [Status::Approved, Status::PaymentPending] {
        let waits = |history: &mut History| {
            let mut scribe = Builder(std::mem::take(history));
            let first = if status == Status::Approved {
                ("ReservationRequested", Status::PendingApproval)
            } else {
                REQUESTED
            };
            let states = [first, ("ReservationWaits", status)];
            scribe.reserves(&reservation("waits", 20, 1), &states);
            scribe.claims("waits");
            *history = scribe.0;
        };
        reports(waits, &[Invariant::I11NoStuckProcess]);
    }
}

/// Invariant: I7.
#[test]
fn a_stored_state_that_differs_from_the_log_is_reported() {
    let unlike = |history: &mut History| history.unlike_log.push("version 2, not 3".into());
    reports(unlike, &[Invariant::I7LegalTransitions]);
}

/// Invariant: I12.
#[test]
fn a_view_that_differs_from_the_logs_is_reported() {
    let differs = |history: &mut History| history.view_differs = true;
    reports(differs, &[Invariant::I12ViewIsTrue]);
}

/// Invariant: I13.
#[test]
fn a_rejected_reservation_with_claims_or_a_payment_is_reported() {
    // What a loser holds or has paid always breaks another promise, too.
    let holds = |history: &mut History| {
        let (scope, key, owner) = ("offer/offer", "3", "reservation/declined");
        history
            .claims
            .push((scope.into(), key.into(), owner.into()));
    };
    reports(holds, &[Invariant::I2Coherence, Invariant::I13CleanLosers]);
    let paid = |history: &mut History| {
        history
            .payments
            .retain(|step| step.event_type.ends_with(".PaymentApproved"));
        history
            .payments
            .retain(|step| step.payment.payment_id != "cancelled");
        history.provider.remove("cancelled");
        history
            .reservations
            .retain(|step| step.reservation.reservation_id != "cancelled");
        history
            .messages
            .retain(|(event, _)| !event.ends_with("/cancelled"));
        history.provider.get_mut("late").unwrap().refunds.clear();
    };
    let expected = [
        Invariant::I4NoBookinglessPayment,
        Invariant::I5Conservation,
        Invariant::I13CleanLosers,
    ];
    reports(paid, &expected);
}

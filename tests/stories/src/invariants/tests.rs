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
/// How long a hold is held.
const HOLD: SignedDuration = SignedDuration::from_mins(15);

fn at(minutes: i64) -> Timestamp {
    let begin: Timestamp = "2027-03-01T12:00:00Z".parse().unwrap();
    begin + SignedDuration::from_mins(minutes)
}

fn money(units: i64) -> Money {
    Money::new("EUR".parse().unwrap(), units * 100)
}

/// Two nights of one unit for 80, from a day of April on.
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

/// Writes histories.
struct Scribe(History);

impl Scribe {
    /// A reservation goes through some states, a minute each; whatever happens is told.
    fn reserves(&mut self, reservation: &Reservation, states: &[(&str, Status)]) {
        for (version, (event, status)) in (1..).zip(states) {
            let mut reservation = reservation.clone();
            reservation.set_status(*status);
            if *status != Status::Requested {
                reservation.hold_expire_time = None;
            }
            let event_type = format!("berth.reservation.v1.{event}");
            let told = format!("{event_type}/{}", reservation.reservation_id);
            self.0.messages.push((told, CUSTOMER.into()));
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

    /// An open reservation claims two nights and a place of its customer.
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

    /// A payment goes through some states.
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

/// One of everything: kept, kept beside it, cancelled with half of the money back, declined, lapsed, over, and paid too late.
fn legal() -> History {
    let mut scribe = Scribe(History::default());
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

fn told(history: &History) -> Vec<Invariant> {
    let mut told: Vec<_> = check(history)
        .into_iter()
        .map(|broken| broken.invariant)
        .collect();
    told.dedup();
    told
}

#[test]
fn a_legal_history_passes() {
    assert_eq!(check(&legal()), []);
    assert_eq!(check(&History::default()), []);
}

/// Plants a fault in a legal history; exactly these must be reported.
#[track_caller]
fn bites(plant: impl FnOnce(&mut History), expected: &[Invariant]) {
    let mut history = legal();
    plant(&mut history);
    assert_eq!(told(&history), expected, "{:#?}", check(&history));
}

#[test]
fn i1_a_unit_that_two_hold_is_oversold() {
    let both = |history: &mut History| {
        for step in &mut history.reservations {
            step.reservation.units = vec![1];
        }
    };
    bites(both, &[Invariant::I1NoOversell]);
    // Only for a moment, in the middle of the history.
    let moment = |history: &mut History| {
        let mut late = step(history, "late", Status::Requested).clone();
        late.seq = 0;
        late.reservation.period = step(history, "kept", Status::Requested).reservation.period;
        *step(history, "late", Status::Requested) = late;
    };
    bites(moment, &[Invariant::I1NoOversell]);
}

#[test]
fn i1_a_unit_that_does_not_exist_is_oversold() {
    let beyond = |history: &mut History| {
        history.capacities.insert(OFFER.into(), 1);
    };
    bites(beyond, &[Invariant::I1NoOversell]);
}

#[test]
fn i2_a_claim_that_is_lost_or_leaked_is_incoherent() {
    let lost = |history: &mut History| drop(history.claims.pop());
    bites(lost, &[Invariant::I2Coherence]);
    let leaked = |history: &mut History| {
        let leak = ("offer/offer", "3", "reservation/cancelled");
        let (scope, key, owner) = leak;
        history
            .claims
            .push((scope.into(), key.into(), owner.into()));
    };
    bites(leaked, &[Invariant::I2Coherence]);
}

#[test]
fn i3_what_is_confirmed_and_not_charged_is_unpaid() {
    let unpaid = |history: &mut History| {
        history
            .payments
            .retain(|step| step.payment.payment_id != "kept");
        history.provider.remove("kept");
    };
    bites(unpaid, &[Invariant::I3NoUnpaidConfirmation]);
    // Refunded in full, and charged less than it costs.
    let cheap = |history: &mut History| {
        for step in &mut history.payments {
            if step.payment.payment_id == "over" {
                step.payment.amount = eur(70);
            }
        }
    };
    let expected = [Invariant::I3NoUnpaidConfirmation, Invariant::I5Conservation];
    bites(cheap, &expected);
}

#[test]
fn i4_what_is_kept_for_no_booking_is_bookingless() {
    let nothing = |history: &mut History| {
        let mut scribe = Scribe(std::mem::take(history));
        scribe.pays("nothing", &[APPROVED], 0);
        *history = scribe.0;
    };
    bites(nothing, &[Invariant::I4NoBookinglessPayment]);
}

#[test]
fn i5_money_that_comes_or_goes_is_not_conserved() {
    let short = |history: &mut History| {
        last_payment(history, "cancelled").refunded = eur(39);
        let ledger = history.provider.get_mut("cancelled").unwrap();
        ledger.refunds.insert("refund".into(), (1, Some(money(39))));
    };
    bites(short, &[Invariant::I5Conservation]);
    let over = |history: &mut History| last_payment(history, "late").refunded = eur(81);
    bites(over, &[Invariant::I5Conservation]);
}

#[test]
fn i5_the_provider_keeps_what_we_keep() {
    let twice = |history: &mut History| {
        let ledger = history.provider.get_mut("cancelled").unwrap();
        ledger.refunds.insert("again".into(), (1, Some(money(40))));
    };
    bites(twice, &[Invariant::I5Conservation]);
    let unknown = |history: &mut History| {
        let charges = vec![money(80)];
        let ledger = ProviderLedger {
            charges,
            ..ProviderLedger::default()
        };
        history.provider.insert("lapsed".into(), ledger);
    };
    bites(unknown, &[Invariant::I5Conservation]);
}

#[test]
fn i6_a_second_charge_is_a_second_effect() {
    let twice = |history: &mut History| {
        let again = history.payments.first().unwrap().clone();
        history.payments.push(again);
    };
    bites(twice, &[Invariant::I6SingleEffect]);
    let refunded = |history: &mut History| {
        let ledger = history.provider.get_mut("kept").unwrap();
        ledger.charges.push(money(80));
        ledger.refunds.insert("again".into(), (1, Some(money(80))));
    };
    bites(refunded, &[Invariant::I6SingleEffect]);
}

#[test]
fn i7_only_legal_transitions_and_every_version() {
    let skipped = |history: &mut History| step(history, "kept", Status::Confirmed).version = 3;
    bites(skipped, &[Invariant::I7LegalTransitions]);
    let shortcut = |history: &mut History| {
        let of = step(history, "over", Status::Confirmed);
        of.reservation.set_status(Status::Requested);
    };
    bites(shortcut, &[Invariant::I7LegalTransitions]);
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
    bites(revived, &[Invariant::I7LegalTransitions]);
}

#[test]
fn i8_what_nobody_was_told_or_twice_is_lost() {
    let lost = |history: &mut History| drop(history.messages.pop());
    bites(lost, &[Invariant::I8NoLostEvent]);
    let twice = |history: &mut History| {
        let again = history.messages.first().unwrap().clone();
        history.messages.push(again);
    };
    bites(twice, &[Invariant::I8NoLostEvent]);
}

#[test]
fn i9_what_never_happened_is_a_phantom() {
    let phantom = |history: &mut History| {
        let told = "berth.reservation.v1.ReservationConfirmed/lapsed";
        history.messages.push((told.into(), CUSTOMER.into()));
    };
    bites(phantom, &[Invariant::I9NoPhantomEvent]);
}

#[test]
fn i10_a_hold_that_lapses_a_moment_too_soon_is_early() {
    let early = |history: &mut History| {
        step(history, "lapsed", Status::Lapsed).at = at(15) - SignedDuration::from_micros(1);
    };
    bites(early, &[Invariant::I10ExpiryNeverEarly]);
}

#[test]
fn i11_what_waits_while_all_is_quiet_is_stuck() {
    let refund = |history: &mut History| {
        last_payment(history, "late").set_status(Paid::RefundPending);
    };
    bites(refund, &[Invariant::I11NoStuckProcess]);
    for status in [Status::Approved, Status::PaymentPending] {
        let waits = |history: &mut History| {
            let mut scribe = Scribe(std::mem::take(history));
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
        bites(waits, &[Invariant::I11NoStuckProcess]);
    }
}

#[test]
fn i7_what_is_stored_is_what_the_log_makes_of_it() {
    let unlike = |history: &mut History| history.unlike_log.push("version 2, not 3".into());
    bites(unlike, &[Invariant::I7LegalTransitions]);
}

#[test]
fn i12_a_view_that_differs_is_untrue() {
    let differs = |history: &mut History| history.view_differs = true;
    bites(differs, &[Invariant::I12ViewIsTrue]);
}

#[test]
fn i13_who_was_refused_holds_nothing_and_has_paid_nothing() {
    // What a loser holds or has paid always breaks another promise, too.
    let holds = |history: &mut History| {
        let (scope, key, owner) = ("offer/offer", "3", "reservation/declined");
        history
            .claims
            .push((scope.into(), key.into(), owner.into()));
    };
    bites(holds, &[Invariant::I2Coherence, Invariant::I13CleanLosers]);
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
    bites(paid, &expected);
}

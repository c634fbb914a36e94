//! The invariants. Each is checked from the recorded history alone, when the platform is quiet.

mod money;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use berth::{payment::v1::PaymentStatus, reservation::v1::ReservationStatus as Status};
use chassis::base::time;

use crate::history::{History, ReservationStep, holds, slots};

/// A violated invariant, and the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The invariant.
    pub invariant: Invariant,
    /// What was found.
    pub evidence: String,
}

/// The invariants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// No unit of an offer is held twice for the same time, at any instant of the history.
    I1NoOversell,
    /// The claims are exactly what the open reservations hold.
    I2Coherence,
    /// Nothing is confirmed without a payment of exactly its price.
    I3NoUnpaidConfirmation,
    /// A payment without a booking is refunded.
    I4NoBookinglessPayment,
    /// The amount kept equals the amount due in the final state.
    I5Conservation,
    /// A booking is charged at most once.
    I6SingleEffect,
    /// Only legal transitions; versions grow by one; final states stay; the stored state equals the one restored from the log.
    I7LegalTransitions,
    /// Every change of a reservation leads to one message to its customer.
    I8NoLostEvent,
    /// Every message belongs to an event that happened.
    I9NoPhantomEvent,
    /// A hold lapses at its deadline or later.
    I10ExpiryNeverEarly,
    /// No reservation or payment is in an intermediate state when the platform is quiet.
    I11NoStuckProcess,
    /// The view equals one that is rebuilt from the logs.
    I12ViewIsTrue,
    /// A rejected or lapsed reservation holds nothing and is not paid.
    I13CleanLosers,
}

/// All violations.
pub fn check(history: &History) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut report = |invariant, found: Vec<String>| {
        broken.extend(found.into_iter().map(|evidence| Broken {
            invariant,
            evidence,
        }));
    };
    report(Invariant::I1NoOversell, oversold(history));
    report(Invariant::I2Coherence, incoherent(history));
    report(Invariant::I3NoUnpaidConfirmation, money::unpaid(history));
    report(
        Invariant::I4NoBookinglessPayment,
        money::bookingless(history),
    );
    report(Invariant::I5Conservation, money::unconserved(history));
    report(
        Invariant::I5Conservation,
        money::differs_from_provider(history),
    );
    report(Invariant::I6SingleEffect, money::charged_twice(history));
    report(Invariant::I7LegalTransitions, illegal(history));
    report(Invariant::I7LegalTransitions, history.unlike_log.clone());
    report(Invariant::I8NoLostEvent, without_message(history));
    report(Invariant::I9NoPhantomEvent, phantoms(history));
    report(Invariant::I10ExpiryNeverEarly, early(history));
    report(Invariant::I11NoStuckProcess, stuck(history));
    report(Invariant::I12ViewIsTrue, view_differs(history));
    report(Invariant::I13CleanLosers, unclean_rejections(history));
    broken
}

fn oversold(history: &History) -> Vec<String> {
    let mut holders: BTreeMap<(String, String, i32), &str> = BTreeMap::new();
    let mut held: BTreeMap<&str, Vec<(String, String, i32)>> = BTreeMap::new();
    let mut found = Vec::new();
    for step in &history.reservations {
        let reservation = &step.reservation;
        let id = reservation.reservation_id.as_str();
        for slot in held.remove(id).unwrap_or_default() {
            holders.remove(&slot);
        }
        if !holds(reservation.status()) {
            continue;
        }
        let mut claimed = Vec::new();
        for slot in slots(reservation) {
            for unit in &reservation.units {
                let unit_slot = (reservation.offer_id.clone(), slot.clone(), *unit);
                if let Some(other) = holders.insert(unit_slot.clone(), id) {
                    found.push(format!(
                        "{unit_slot:?} is held by {other} and {id} after event {}",
                        step.seq
                    ));
                }
                claimed.push(unit_slot);
            }
        }
        if claimed.is_empty() {
            found.push(format!(
                "{id} holds nothing while {:?}",
                reservation.status()
            ));
        }
        let capacity = history
            .capacities
            .get(&reservation.offer_id)
            .copied()
            .unwrap_or(i32::MAX);
        if reservation
            .units
            .iter()
            .any(|unit| *unit < 1 || *unit > capacity)
        {
            found.push(format!(
                "{id} holds units {:?} of {capacity}",
                reservation.units
            ));
        }
        held.insert(id, claimed);
    }
    found
}

fn last_steps(history: &History) -> impl Iterator<Item = &ReservationStep> {
    history
        .by_reservation()
        .into_values()
        .filter_map(|steps| steps.last().copied())
}

/// Claims are compared by count for each reservation and scope, because the form of a key is internal to `reservation`.
fn incoherent(history: &History) -> Vec<String> {
    let mut claimed: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (scope, _, owner) in &history.claims {
        let owner = owner.rsplit('/').next().unwrap_or_default().to_owned();
        *claimed.entry((owner, scope.clone())).or_default() += 1;
    }
    let mut expected: BTreeMap<(String, String), usize> = BTreeMap::new();
    for step in last_steps(history) {
        let reservation = &step.reservation;
        if holds(reservation.status()) {
            let id = reservation.reservation_id.clone();
            let units = slots(reservation).len() * reservation.units.len();
            expected.insert(
                (id.clone(), format!("offer/{}", reservation.offer_id)),
                units,
            );
            expected.insert((id, format!("customer/{}", reservation.customer_id)), 1);
        }
    }
    let keys: BTreeSet<_> = claimed.keys().chain(expected.keys()).collect();
    keys.into_iter()
        .filter(|key| claimed.get(*key) != expected.get(*key))
        .map(|key| {
            format!(
                "{key:?}: claims {:?}, expected {:?}",
                claimed.get(key),
                expected.get(key)
            )
        })
        .collect()
}

/// Whether a reservation may go from one status to another.
fn legal(from: Option<Status>, to: Status) -> bool {
    use Status as S;
    match from {
        None => matches!(to, S::Requested | S::PendingApproval),
        Some(S::Requested) => {
            matches!(
                to,
                S::PaymentPending | S::Confirmed | S::Rejected | S::Lapsed | S::Cancelled
            )
        }
        Some(S::PendingApproval) => {
            matches!(to, S::Approved | S::Rejected | S::Lapsed | S::Cancelled)
        }
        Some(S::Approved) => {
            matches!(
                to,
                S::PaymentPending | S::Confirmed | S::Rejected | S::Lapsed | S::Cancelled
            )
        }
        Some(S::PaymentPending) => {
            matches!(to, S::Confirmed | S::Rejected | S::Lapsed | S::Cancelled)
        }
        Some(S::Confirmed) => matches!(to, S::CancelRequested | S::Cancelled | S::Completed),
        Some(S::CancelRequested) => to == S::Cancelled,
        // ConfirmationMissed carries a final state again.
        Some(from) => from == to,
    }
}

fn illegal(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    for (id, steps) in history.by_reservation() {
        let (mut from, mut version) = (None, 0);
        for step in steps {
            let to = step.reservation.status();
            if !legal(from, to) {
                found.push(format!(
                    "{id} went from {from:?} to {to:?} by {}",
                    step.event_type
                ));
            }
            if step.version != version + 1 {
                found.push(format!(
                    "{id} went from version {version} to {}",
                    step.version
                ));
            }
            (from, version) = (Some(to), step.version);
        }
    }
    found
}

fn without_message(history: &History) -> Vec<String> {
    let written: BTreeSet<(&str, &str)> = history
        .messages
        .iter()
        .map(|(event, recipient)| (event.as_str(), recipient.as_str()))
        .collect();
    let mut found = Vec::new();
    for step in &history.reservations {
        let customer = step.reservation.customer_id.as_str();
        let key = format!("{}/{}", step.event_type, step.reservation.reservation_id);
        if !written.contains(&(key.as_str(), customer)) {
            found.push(format!("{customer} has no message about {key}"));
        }
    }
    if written.len() != history.messages.len() {
        found.push(format!(
            "{} messages, {} different ones",
            history.messages.len(),
            written.len()
        ));
    }
    found
}

fn phantoms(history: &History) -> Vec<String> {
    let happened: BTreeSet<String> = history
        .reservations
        .iter()
        .map(|step| format!("{}/{}", step.event_type, step.reservation.reservation_id))
        .collect();
    let messages = history.messages.iter();
    messages
        .filter(|(event, _)| !happened.contains(event))
        .map(|(event, _)| format!("there is a message but no event {event}"))
        .collect()
}

fn early(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    for (id, steps) in history.by_reservation() {
        let mut expires = None;
        for step in steps {
            if step.reservation.status() == Status::Lapsed
                && step.event_type.ends_with(".ReservationLapsed")
                && expires.is_some_and(|expires| step.at < expires)
            {
                found.push(format!(
                    "{id} lapsed at {} and was held until {expires:?}",
                    step.at
                ));
            }
            expires = step
                .reservation
                .hold_expire_time
                .as_ref()
                .and_then(time::from_proto);
        }
    }
    found
}

fn stuck(history: &History) -> Vec<String> {
    let reservations = last_steps(history).filter(|step| {
        use Status as S;
        matches!(
            step.reservation.status(),
            S::Approved | S::PaymentPending | S::CancelRequested
        )
    });
    let reservations = reservations.map(|step| {
        format!(
            "{} is {:?}",
            step.reservation.reservation_id,
            step.reservation.status()
        )
    });
    let payments = history
        .by_payment()
        .into_values()
        .filter_map(|steps| steps.last().copied());
    let payments = payments
        .filter(|step| {
            matches!(
                step.payment.status(),
                PaymentStatus::Pending | PaymentStatus::RefundPending
            )
        })
        .map(|step| {
            format!(
                "payment {} is {:?}",
                step.payment.payment_id,
                step.payment.status()
            )
        });
    reservations.chain(payments).collect()
}

fn view_differs(history: &History) -> Vec<String> {
    let differs = history.view_differs;
    differs
        .then(|| "the view differs from the logs".to_owned())
        .into_iter()
        .collect()
}

fn unclean_rejections(history: &History) -> Vec<String> {
    let payments = history.by_payment();
    let mut found = Vec::new();
    for (id, steps) in history.by_reservation() {
        let Some(last) = steps.last() else { continue };
        if !matches!(last.reservation.status(), Status::Rejected | Status::Lapsed) {
            continue;
        }
        if history
            .claims
            .iter()
            .any(|(_, _, owner)| owner.ends_with(id))
        {
            found.push(format!(
                "{id} is {:?} and still holds something",
                last.reservation.status()
            ));
        }
        if payments
            .get(id)
            .and_then(|steps| steps.last())
            .is_some_and(|step| step.payment.status() == PaymentStatus::Paid)
        {
            found.push(format!(
                "{id} is {:?} and has paid",
                last.reservation.status()
            ));
        }
        if steps
            .iter()
            .any(|step| step.reservation.status() == Status::Confirmed)
        {
            found.push(format!(
                "{id} was confirmed before it was {:?}",
                last.reservation.status()
            ));
        }
    }
    found
}

//! The invariants about money.

use std::collections::BTreeSet;

use berth::{
    google::r#type as google, payment::v1::PaymentStatus,
    reservation::v1::ReservationStatus as Status,
};
use chassis::Money;

use crate::history::{History, PaymentStep, ProviderLedger};

pub(super) fn unpaid(history: &History) -> Vec<String> {
    let payments = history.by_payment();
    let mut found = Vec::new();
    for step in history
        .reservations
        .iter()
        .filter(|step| step.reservation.status() == Status::Confirmed)
    {
        let id = step.reservation.reservation_id.as_str();
        let approved = payments
            .get(id)
            .into_iter()
            .flatten()
            .find(|payment| payment.event_type.ends_with(".PaymentApproved"));
        match approved {
            None => found.push(format!("{id} is confirmed and was never charged")),
            Some(payment) if payment.payment.amount != step.reservation.price => {
                found.push(format!(
                    "{id} costs {:?} and {:?} was charged",
                    step.reservation.price, payment.payment.amount
                ));
            }
            Some(_) => {}
        }
    }
    found
}

pub(super) fn bookingless(history: &History) -> Vec<String> {
    let reservations = history.by_reservation();
    let mut found = Vec::new();
    for (id, steps) in history.by_payment() {
        let Some(last) = steps.last() else { continue };
        let status = reservations
            .get(id)
            .and_then(|steps| steps.last())
            .map(|step| step.reservation.status());
        let kept = last.payment.status() == PaymentStatus::Paid;
        if kept
            && !matches!(
                status,
                Some(Status::Confirmed | Status::Completed | Status::Cancelled)
            )
        {
            found.push(format!("{id} was charged and is {status:?}"));
        }
    }
    found
}

fn minor(money: Option<&google::Money>) -> i64 {
    money
        .and_then(|money| Money::try_from(money).ok())
        .map_or(0, |money| money.minor)
}

pub(super) fn unconserved(history: &History) -> Vec<String> {
    let reservations = history.by_reservation();
    let mut found = Vec::new();
    for (id, steps) in history.by_payment() {
        let Some(last) = steps.last() else { continue };
        let charged = steps
            .iter()
            .any(|step| step.event_type.ends_with(".PaymentApproved"));
        let charged = if charged {
            minor(last.payment.amount.as_ref())
        } else {
            0
        };
        let refunded = minor(last.payment.refunded.as_ref());
        if refunded < 0 || refunded > charged {
            found.push(format!("{id}: {refunded} of {charged} refunded"));
        }
        let Some(reservation) = reservations.get(id).and_then(|steps| steps.last()) else {
            continue;
        };
        let reservation = &reservation.reservation;
        let due = match reservation.status() {
            Status::Confirmed | Status::Completed => minor(reservation.price.as_ref()),
            Status::Cancelled if reservation.payment_id.is_empty() => 0,
            Status::Cancelled => {
                minor(reservation.price.as_ref()) - minor(reservation.refund.as_ref())
            }
            _ => 0,
        };
        if charged - refunded != due {
            found.push(format!(
                "{id} is {:?}: {charged} charged, {refunded} refunded, {due} due",
                reservation.status()
            ));
        }
    }
    found
}

/// The amount that the provider keeps equals the amount by our payments.
pub(super) fn differs_from_provider(history: &History) -> Vec<String> {
    let payments = history.by_payment();
    let kept = |id: &str| {
        let steps = payments.get(id)?;
        let charged = steps
            .iter()
            .any(|step| step.event_type.ends_with(".PaymentApproved"));
        let last = &steps.last()?.payment;
        let left = minor(last.amount.as_ref()) - minor(last.refunded.as_ref());
        Some(if charged { left } else { 0 })
    };
    let ids: BTreeSet<&str> = history
        .provider
        .keys()
        .map(String::as_str)
        .chain(payments.keys().copied())
        .collect();
    let mut found = Vec::new();
    for id in ids {
        let ours = kept(id).unwrap_or(0);
        let theirs = history.provider.get(id).map_or(0, ProviderLedger::kept);
        if ours != theirs {
            found.push(format!("{id}: we keep {ours}, the provider keeps {theirs}"));
        }
    }
    found
}

pub(super) fn charged_twice(history: &History) -> Vec<String> {
    let approvals = |steps: &[&PaymentStep]| {
        steps
            .iter()
            .filter(|step| step.event_type.ends_with(".PaymentApproved"))
            .count()
    };
    let payments = history.by_payment().into_iter();
    let by_our_books = payments
        .filter(|(_, steps)| approvals(steps) > 1)
        .map(|(id, _)| format!("{id} was charged more than once"));
    let by_the_provider = history.provider.iter();
    let by_the_provider = by_the_provider
        .filter(|(_, ledger)| ledger.charges.len() > 1)
        .map(|(id, _)| format!("the provider charged {id} more than once"));
    by_our_books.chain(by_the_provider).collect()
}
